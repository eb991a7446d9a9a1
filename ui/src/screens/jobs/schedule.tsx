// When a definition runs by itself: the switch, the times to come, and what became of those past.

import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useId, useMemo } from "react";
import { useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { DefinitionSummary, ScheduleView } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { definitionsQuery } from "../../data/queries";
import { readDefinitions } from "../../data/sync";
import { exactTime, when, whenNext } from "../../format";
import { notifyError } from "../../frame/notices";
import { linkClass } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Card, Fact, Facts } from "../../parts/page";
import { Toggle } from "../../parts/toggle";
import { text } from "../../text";

function useEnabled({ id, enabled }: DefinitionSummary) {
  const client = useQueryClient();
  const { start, pending } = useCommand(async (next: boolean) => {
    await backend.setEnabled(id, next).catch(notifyError);
    await client.refetchQueries({ queryKey: definitionsQuery.queryKey });
    readDefinitions(client);
  });
  return { shown: pending ? !enabled : enabled, set: start };
}

export function EnabledToggle({ definition, id }: { definition: DefinitionSummary; id?: string }) {
  const { shown, set } = useEnabled(definition);
  return (
    <Toggle
      checked={shown}
      onChange={set}
      {...(id === undefined ? { label: text.jobs.enable(definition.name) } : { id })}
    />
  );
}

type Props = { definition: DefinitionSummary; schedule: ScheduleView | null };

export function Schedule({ definition, schedule }: Props) {
  const id = useId();
  const own = definition.origin === "user";
  useEnableAction(definition);
  return (
    <Card>
      {schedule ? (
        <Times schedule={schedule} />
      ) : (
        <p className="px-3.5 py-2.5 text-muted">
          {definition.schedule === null ? text.schedule.none : text.schedule.broken}
        </p>
      )}
      {own ? (
        <div className="flex items-center gap-3 border-t border-line px-3.5 py-2">
          <div className="min-w-0 flex-1">
            <label htmlFor={id}>{text.schedule.byItself}</label>
            <p className="text-meta text-muted">{text.schedule.byItselfAbout}</p>
          </div>
          <EnabledToggle definition={definition} id={id} />
        </div>
      ) : (
        definition.schedule !== null && (
          <p className="border-t border-line px-3.5 py-2 text-meta text-muted">{text.schedule.shippedOff}</p>
        )
      )}
    </Card>
  );
}

function useEnableAction(definition: DefinitionSummary): void {
  const { shown, set } = useEnabled(definition);
  const own = definition.origin === "user";
  const { name } = definition;
  useActions(
    useMemo(
      () =>
        own
          ? [
              {
                id: "enable-this",
                title: shown ? text.jobs.disable(name) : text.jobs.enable(name),
                group: "here" as const,
                run: () => set(!shown),
              },
            ]
          : [],
      [own, shown, name, set],
    ),
  );
}

function Times({ schedule }: { schedule: ScheduleView }) {
  const { next, last_slot, last_result, last_run } = schedule;
  return (
    <div className="grid gap-3 px-3.5 py-3">
      <p className="flex items-center gap-2">
        <Icon name="schedule" className="size-4 text-muted" />
        <span className="min-w-0 flex-1">
          {schedule.description}
          {!schedule.enabled && <span className="text-faint"> · {text.schedule.off}</span>}
        </span>
        <code className="font-mono text-label text-faint">{schedule.cron}</code>
      </p>
      {schedule.note !== "" && (
        <p className="flex items-start gap-2 text-meta">
          <Icon name="warn" className="mt-px size-3.5 text-warn" />
          {schedule.note}
        </p>
      )}
      <Facts>
        {next.length > 0 && (
          <Fact name={text.schedule.next}>
            <ol className="flex flex-wrap gap-x-4">
              {next.map((time) => (
                <li key={time}>
                  <time dateTime={time} title={exactTime(time)}>
                    {whenNext(time)}
                  </time>
                </li>
              ))}
            </ol>
          </Fact>
        )}
        {last_slot !== null && last_result !== null && (
          <Fact name={text.schedule.last}>
            {when(last_slot)}: {text.schedule.results[last_result]}
            {last_run !== null && (
              <>
                ,{" "}
                <Link to="/runs/$id" params={{ id: last_run }} className={linkClass}>
                  {text.run.runLink(last_run)}
                </Link>
              </>
            )}
          </Fact>
        )}
        {schedule.started + schedule.skipped > 0 && (
          <Fact name={text.schedule.counts}>{text.schedule.started(schedule.started, schedule.skipped)}</Fact>
        )}
        <Fact name={text.schedule.missedTitle}>{text.schedule.missed[schedule.missed_runs]}</Fact>
        <Fact name={text.schedule.overlapTitle}>{text.schedule.overlap[schedule.overlap]}</Fact>
      </Facts>
      {schedule.timezone !== null && (
        <p className="text-meta text-faint">{text.schedule.zone(schedule.timezone)}</p>
      )}
    </div>
  );
}
