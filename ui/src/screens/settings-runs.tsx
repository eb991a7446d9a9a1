// How long runs that have ended are kept, and forgetting the others now.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useId, useMemo, useState } from "react";
import { useActions } from "../actions/registry";
import { backend } from "../backend";
import { useCommand } from "../data/hooks";
import { changeSettings, runsQuery, settingsQuery } from "../data/queries";
import { notifyError } from "../frame/notices";
import { Button } from "../parts/button";
import { Confirm } from "../parts/confirm";
import { Input } from "../parts/field";
import { Line, Section } from "../parts/settings-lines";
import { text } from "../text";

const words = text.settings;

export function OldRuns() {
  const client = useQueryClient();
  const settings = useQuery(settingsQuery).data;
  const runs = settings?.keep_runs ?? null;
  const days = settings?.keep_days ?? null;
  const [asking, setAsking] = useState(false);
  const [told, setTold] = useState("");
  const prune = useCommand(
    () => backend.pruneRuns(runs, days),
    (forgotten) => {
      setAsking(false);
      setTold(words.pruned(forgotten));
      void client.invalidateQueries({ queryKey: runsQuery.queryKey });
    },
  );
  const limited = runs !== null || days !== null;
  const { reset } = prune;
  useActions(
    useMemo(
      () =>
        limited
          ? [
              {
                id: "prune",
                title: words.prune,
                group: "here" as const,
                run: () => {
                  reset();
                  setAsking(true);
                },
              },
            ]
          : [],
      [limited, reset],
    ),
  );
  return (
    <Section title={words.history}>
      <Limit
        name={words.keepRuns}
        unit={words.keepRunsUnit}
        value={runs}
        onChange={(keep_runs) => void changeSettings(client, { keep_runs }).catch(notifyError)}
      />
      <Limit
        name={words.keepDays}
        unit={words.keepDaysUnit}
        value={days}
        onChange={(keep_days) => void changeSettings(client, { keep_days }).catch(notifyError)}
      />
      <div className="flex items-center gap-3 px-3.5 py-2">
        <p role="status" className="flex-1 text-meta text-muted">
          {told || (limited ? "" : words.pruneNothing)}
        </p>
        <Button
          disabled={!limited}
          onClick={() => {
            prune.reset();
            setAsking(true);
          }}
        >
          {words.prune}
        </Button>
      </div>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={words.pruneTitle}
        submit={words.pruneSubmit}
        onSubmit={() => prune.start(undefined)}
        busy={prune.pending}
        error={prune.error}
      >
        <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-2">
          <dt className="font-medium">{words.goes}</dt>
          <dd className="first-letter:uppercase">{words.pruneGoes(runs, days)}.</dd>
          <dt className="font-medium">{words.stays}</dt>
          <dd>{words.pruneStays}.</dd>
        </dl>
      </Confirm>
    </Section>
  );
}

type LimitProps = {
  name: string;
  unit: string;
  value: number | null;
  onChange: (value: number | null) => void;
};

/** A number or nothing. It is kept when the field is left or Enter is pressed, if it makes sense. */
function Limit({ name, unit, value, onChange }: LimitProps) {
  const id = useId();
  const kept = value === null ? "" : String(value);
  const [typed, setTyped] = useState(kept);
  useEffect(() => setTyped(kept), [kept]);
  const said = typed.trim();
  const bad = said !== "" && !(/^\d{1,6}$/.test(said) && Number(said) >= 1);
  const keep = () => {
    if (!bad && said !== kept) onChange(said === "" ? null : Number(said));
  };
  return (
    <Line name={name} about={words.keepAbout}>
      <div className="grid justify-items-end gap-1">
        <span className="flex items-center gap-2">
          <Input
            aria-label={`${name}: ${unit}`}
            aria-invalid={bad || undefined}
            aria-describedby={bad ? id : undefined}
            inputMode="numeric"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            onBlur={keep}
            onKeyDown={(event) => event.key === "Enter" && keep()}
            className="num w-20! text-right"
          />
          <span aria-hidden="true" className="w-9 text-muted">
            {unit}
          </span>
        </span>
        {bad && (
          <p id={id} role="alert" className="text-meta text-error">
            {words.keepBad}
          </p>
        )}
      </div>
    </Line>
  );
}
