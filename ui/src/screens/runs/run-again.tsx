// Doing a run's work again: everything, what failed, from a step on, or with other values.

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState } from "react";
import { type Action, useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { ApiError, InputField, RerunPart, RunView } from "../../backend/types";
import { useCommand, useDefinitions } from "../../data/hooks";
import { definitionQuery } from "../../data/queries";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Dialog } from "../../parts/dialog";
import { Icon } from "../../parts/icon";
import { Menu, MenuCheck, MenuItem, MenuLine, SubMenu } from "../../parts/menu";
import { isNotSetUp } from "../../parts/states";
import { text } from "../../text";
import { ValuesForm } from "../jobs/values-form";

/** Starts the new run and goes to it. Pressing twice starts one. */
export function useRerun(run: RunView, current: boolean) {
  const navigate = useNavigate();
  const request = useRef({ wish: "", id: "" });
  /** What was wished for last. */
  const [last, setLast] = useState<[RerunPart, [string, string][]]>(["whole", []]);
  /** Stays while it is tried again. */
  const [error, setError] = useState<ApiError | null>(null);
  const begun = (id: string) => {
    request.current = { wish: "", id: "" };
    setError(null);
    void navigate({ to: "/runs/$id", params: { id } });
  };
  const { start, pending } = useCommand(backend.rerun.bind(backend), begun, setError);
  const { id } = run.summary;
  const again = useMemo(
    () =>
      (part: RerunPart, set: [string, string][] = [], anyway = false) => {
        setLast([part, set]);
        const wish = JSON.stringify([part, set, current]);
        if (request.current.wish !== wish) request.current = { wish, id: crypto.randomUUID() };
        start({ request_id: request.current.id, run: id, part, set, current_definition: current, anyway });
      },
    [start, id, current],
  );
  const reset = useCallback(() => setError(null), []);
  /** Starts what was refused because something is not set up. */
  const anyway = isNotSetUp(error) ? () => again(...last, true) : null;
  const retry = () => again(...last);
  return { again, anyway, retry, part: last[0], pending, error, reset };
}

/** Whether the definition can be used as it is now, and says something else than it did. */
export function useDefinitionChanged(run: RunView): boolean {
  const { definition_id } = run.summary;
  const exists = useDefinitions().data?.some((one) => one.id === definition_id) ?? false;
  const now = useQuery({ ...definitionQuery(definition_id), enabled: exists }).data;
  return exists && now !== undefined && now.summary.errors === 0 && now.text !== run.definition_text;
}

type Props = {
  run: RunView;
  current: boolean;
  onCurrent: (current: boolean) => void;
  labelClass: string;
};

export function RunAgain({ run, current, onCurrent, labelClass }: Props) {
  const { again, anyway, retry, pending, error, reset } = useRerun(run, current);
  const changed = useDefinitionChanged(run);
  const [asking, setAsking] = useState(false);
  // What was refused before says nothing of what is asked for next.
  const ask = useCallback(
    (open: boolean) => {
      reset();
      setAsking(open);
    },
    [reset],
  );
  const steps = run.steps.map((step) => step.name).join("\n");
  const failed = run.steps.some((step) => step.status !== "completed" || step.jobs.failed > 0);

  const actions = useMemo((): Action[] => {
    const here = (id: string, title: string, run: () => void): Action => ({ id, title, group: "here", run });
    return [
      here("again", text.again.palette.whole, () => again("whole")),
      ...(failed ? [here("again-failed", text.again.palette.failed, () => again("failed"))] : []),
      ...steps
        .split("\n")
        .map((step) => here(`again-${step}`, text.again.palette.from(step), () => again({ from: step }))),
      here("again-values", text.again.palette.values, () => ask(true)),
    ];
  }, [again, ask, failed, steps]);
  useActions(actions);

  return (
    <>
      <Menu
        trigger={
          <Button busy={pending} data-testid="run-again">
            <Icon name="again" className="size-3.5" />
            <span className={labelClass}>{text.run.again}</span>
            <Icon name="down" className="-mr-1 size-3.5 text-faint" />
          </Button>
        }
      >
        <MenuItem onClick={() => again("whole")}>{text.again.whole}</MenuItem>
        <MenuItem onClick={() => again("failed")} disabled={!failed}>
          {text.again.failed}
        </MenuItem>
        <SubMenu label={text.again.from} disabled={run.steps.length === 0}>
          {run.steps.map((step) => (
            <MenuItem key={step.id} onClick={() => again({ from: step.name })}>
              {step.name}
            </MenuItem>
          ))}
        </SubMenu>
        <MenuItem onClick={() => ask(true)}>{text.again.values}</MenuItem>
        {changed && (
          <>
            <MenuLine />
            <MenuCheck checked={current} onChange={onCurrent} about={text.again.currentAbout}>
              {text.again.current}
            </MenuCheck>
          </>
        )}
      </Menu>
      <Confirm
        open={error !== null && !asking}
        onClose={reset}
        title={text.again.valuesTitle(run.summary.name)}
        submit={anyway ? text.jobs.anyway : text.failed.retry}
        onSubmit={anyway ?? retry}
        busy={pending}
        error={error}
      />
      <Dialog
        open={asking}
        onClose={() => ask(false)}
        title={text.again.valuesTitle(run.summary.name)}
        closeLabel={text.jobs.cancel}
      >
        <Values
          run={run}
          pending={pending}
          error={error}
          onChange={reset}
          again={again}
          onClose={() => ask(false)}
        />
      </Dialog>
    </>
  );
}

function Values({
  run,
  pending,
  error,
  onChange,
  onClose,
  again,
}: Pick<ReturnType<typeof useRerun>, "pending" | "error" | "again"> & {
  run: RunView;
  onChange: () => void;
  onClose: () => void;
}) {
  const known = useDefinitions().data?.find((one) => one.id === run.summary.definition_id)?.inputs ?? [];
  // The run may have values that the definition has lost since.
  const lost = run.variables
    .filter(([key]) => !known.some((input) => input.key === key))
    .map(
      ([key, value]): InputField => ({
        key,
        label: key,
        kind: "text",
        default: value,
        required: false,
        help: "",
      }),
    );
  const inputs = [...known, ...lost];
  const earlier = new Map([...inputs.map((one) => [one.key, one.default] as const), ...run.variables]);
  return (
    <ValuesForm
      inputs={inputs}
      earlier={run.variables}
      busy={pending}
      error={error}
      onChange={onChange}
      onClose={onClose}
      onSubmit={(values) =>
        again(
          "whole",
          values.filter(([key, value]) => value !== earlier.get(key)),
          isNotSetUp(error),
        )
      }
    />
  );
}
