// One definition: what it does, when it runs by itself, its steps, values, problems, text and past.

import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { type Action, useActions } from "../../actions/registry";
import type { DefinitionView, Problem } from "../../backend/types";
import { useSchedules } from "../../data/hooks";
import { Button } from "../../parts/button";
import { Segments } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { Card } from "../../parts/page";
import { SourceText } from "../../parts/source-text";
import { Chip } from "../../parts/status";
import { text } from "../../text";
import { DefinitionActions } from "./definition-actions";
import { History } from "./history";
import { RunDialog } from "./run-dialog";
import { Schedule } from "./schedule";
import { Types } from "./step-types";

export const VIEWS = ["text", "history"] as const;
export type View = (typeof VIEWS)[number];

type Props = { definition: DefinitionView; run: boolean; view: View };

export function Definition({ definition: { summary, text: source, problems }, run, view }: Props) {
  const navigate = useNavigate();
  const schedule = useSchedules().data?.find((one) => one.definition_id === summary.id) ?? null;
  const runnable = summary.errors === 0;
  const show = (search: { run?: true; view?: View }) =>
    void navigate({ to: "/jobs/$id", params: { id: summary.id }, search, replace: true });
  const ask = (open: boolean) => show(open ? { run: true } : {});
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ask` follows the id
  const actions = useMemo(
    (): Action[] => [
      ...(runnable
        ? [
            {
              id: "run-this",
              title: text.jobs.runNamed(summary.name),
              group: "here" as const,
              keys: "r",
              run: () => ask(true),
            },
          ]
        : []),
      {
        id: "show-history",
        title: text.jobs.showHistory,
        group: "here" as const,
        run: () => show({ view: "history" }),
      },
    ],
    [runnable, summary.id, summary.name],
  );
  useActions(actions);
  return (
    <div className="mx-auto grid max-w-[56rem] gap-5 p-6">
      <div className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-56">
          <h2 className="text-section font-semibold">{summary.name}</h2>
          <p className="mt-0.5 text-muted">{summary.description}</p>
        </div>
        <div className="flex gap-2">
          <Button
            look="primary"
            onClick={() => ask(true)}
            disabled={!runnable}
            title={runnable ? undefined : text.jobs.cannotRun}
          >
            <Icon name="runs" className="size-3.5" />
            {text.jobs.run}
          </Button>
          <DefinitionActions definition={summary} />
        </div>
      </div>

      {problems.length > 0 && <Problems problems={problems} runnable={runnable} />}

      <Block title={text.schedule.title}>
        <Schedule definition={summary} schedule={schedule} />
      </Block>

      <Block title={text.jobs.steps}>
        <Types types={summary.step_types} />
      </Block>

      <Block title={text.jobs.inputs}>
        {summary.inputs.length === 0 ? (
          <p className="text-muted">{text.jobs.noInputs}</p>
        ) : (
          <Card>
            <dl>
              {summary.inputs.map((input) => (
                <div
                  key={input.key}
                  className="grid grid-cols-[9rem_1fr] gap-x-3 border-b border-line px-3 py-2 last:border-0"
                >
                  <dt className="font-medium">{input.label}</dt>
                  <dd className="min-w-0">
                    <span className="text-muted">{input.help}</span>{" "}
                    {input.default !== "" ? (
                      <span className="code [overflow-wrap:anywhere]">{input.default}</span>
                    ) : (
                      input.required && <span className="text-meta text-faint">{text.jobs.required}</span>
                    )}
                  </dd>
                </div>
              ))}
            </dl>
          </Card>
        )}
      </Block>

      <Block
        title={text.jobs.definition}
        aside={
          <>
            <Chip>{summary.origin === "shipped" ? text.jobs.shipped : text.jobs.user}</Chip>
            <span className="min-w-0 flex-1 truncate font-mono text-label text-faint" title={summary.file}>
              {summary.file}
            </span>
            <Segments
              label={text.jobs.definition}
              value={view}
              options={[
                ["text", text.jobs.textTab],
                ["history", text.jobs.historyTab],
              ]}
              onChange={(next) => show(next === "text" ? {} : { view: next })}
            />
          </>
        }
      >
        {view === "history" ? (
          <History definition={summary} />
        ) : (
          <Card className="grid">
            <SourceText
              source={source}
              problems={problems}
              label={`${text.jobs.definition}: ${summary.name}`}
            />
          </Card>
        )}
      </Block>
      {runnable && <RunDialog open={run} onClose={() => ask(false)} definition={summary} />}
    </div>
  );
}

function Block({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="grid min-w-0 gap-2">
      <div className="flex min-w-0 items-center gap-2.5">
        <h3 className="text-ui font-semibold">{title}</h3>
        {aside}
      </div>
      {children}
    </section>
  );
}

function Problems({ problems, runnable }: { problems: Problem[]; runnable: boolean }) {
  return (
    <div className="rounded-l border border-line p-3.5">
      <h3 className="text-ui font-semibold">{text.jobs.problemsTitle}</h3>
      {!runnable && <p className="text-muted">{text.jobs.cannotRun}</p>}
      <ul className="mt-2 grid gap-1.5">
        {problems.map((problem) => (
          <li key={`${problem.code}${problem.start}`} className="flex items-start gap-2">
            <Icon
              name={problem.severity === "error" ? "close" : "warn"}
              className={`mt-0.5 size-3.5 ${problem.severity === "error" ? "text-error" : "text-warn"}`}
            />
            <span className="flex-1">
              <span className="sr-only">{text.severity[problem.severity]}: </span>
              {problem.message} {problem.fix && <span className="text-muted">{problem.fix}</span>}
            </span>
            <span className="num text-meta text-faint">{text.jobs.place(problem.line, problem.column)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
