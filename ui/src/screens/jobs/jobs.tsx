// The job definitions: a list of them, and the chosen one with its steps, problems and text.

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { type Action, useActions } from "../../actions/registry";
import type { DefinitionSummary, DefinitionView, Problem } from "../../backend/types";
import { useDefinitions } from "../../data/hooks";
import { definitionQuery, infoQuery } from "../../data/queries";
import { Button } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Card, Page } from "../../parts/page";
import { SourceText } from "../../parts/source-text";
import { Empty, Failed, SkeletonRows, SkeletonText } from "../../parts/states";
import { Chip } from "../../parts/status";
import { text } from "../../text";
import { RunDialog } from "./run-dialog";

type Props = {
  id: string | null;
  /** Whether the form to run it is open. */
  run: boolean;
  /** The run whose values the form starts with. */
  from: string | null;
};

export function Jobs({ id, run, from }: Props) {
  const { data, error, isPending, refetch } = useDefinitions();
  const info = useQuery(infoQuery).data;
  const shown = id ?? data?.[0]?.id ?? null;
  return (
    <Page title={text.jobs.title}>
      {isPending ? (
        <div className="w-72">
          <SkeletonRows rows={4} className="h-16" />
        </div>
      ) : error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : data.length === 0 ? (
        <Empty icon="jobs" title={text.jobs.none} about={info && text.jobs.noneAbout(info.definitions_dir)} />
      ) : (
        <div className="flex min-h-0 flex-1 @max-[36rem]/main:flex-col">
          <nav
            aria-label={text.jobs.title}
            className="w-72 shrink-0 overflow-y-auto border-r border-line @max-[54rem]/main:w-60 @max-[36rem]/main:max-h-[40%] @max-[36rem]/main:w-full @max-[36rem]/main:border-r-0 @max-[36rem]/main:border-b"
          >
            <ul>
              {data.map((definition) => (
                <Item key={definition.id} definition={definition} on={definition.id === shown} />
              ))}
            </ul>
          </nav>
          {shown && <Detail key={shown} id={shown} run={run} from={from} />}
        </div>
      )}
    </Page>
  );
}

function Item({ definition, on }: { definition: DefinitionSummary; on: boolean }) {
  return (
    <li className="border-b border-line">
      <Link
        to="/jobs/$id"
        params={{ id: definition.id }}
        aria-current={on ? "true" : undefined}
        className={`grid gap-1 px-4 py-2.5 outline-offset-[-2px] transition-colors duration-75 ${on ? "selected" : "hover:bg-bg0"}`}
      >
        <span className="flex items-center gap-2">
          <span className="flex-1 truncate font-medium">{definition.name}</span>
          <ProblemsBadge definition={definition} />
        </span>
        <span className="line-clamp-2 text-meta text-muted">{definition.description}</span>
        <Types types={definition.step_types} />
      </Link>
    </li>
  );
}

function ProblemsBadge({ definition: { errors, warnings } }: { definition: DefinitionSummary }) {
  if (errors + warnings === 0) return null;
  return <Chip colour={errors > 0 ? "text-error" : "text-warn"}>{text.jobs.problems(errors, warnings)}</Chip>;
}

function Types({ types }: { types: string[] }) {
  return (
    <span className="flex flex-wrap items-center gap-1">
      {types.map((type, at) => (
        <span key={at} className="flex items-center gap-1">
          {at > 0 && <Icon name="right" className="size-3 text-faint" />}
          <span className="font-mono text-label text-muted">{type}</span>
        </span>
      ))}
    </span>
  );
}

function Detail({ id, run, from }: { id: string; run: boolean; from: string | null }) {
  const { data, error, isPending, refetch } = useQuery(definitionQuery(id));
  return (
    <section
      aria-label={data?.summary.name ?? text.jobs.definition}
      className="min-h-0 min-w-0 flex-1 overflow-y-auto"
    >
      {isPending ? (
        <div className="p-6">
          <SkeletonText />
        </div>
      ) : error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : (
        <Definition view={data} run={run} from={from} />
      )}
    </section>
  );
}

function Definition({
  view: { summary, text: source, problems },
  run,
  from,
}: {
  view: DefinitionView;
  run: boolean;
  from: string | null;
}) {
  const navigate = useNavigate();
  const runnable = summary.errors === 0;
  const ask = (open: boolean) =>
    void navigate({
      to: "/jobs/$id",
      params: { id: summary.id },
      search: open ? { run: true } : {},
      replace: true,
    });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ask` follows the id
  const actions = useMemo(
    (): Action[] =>
      runnable
        ? [
            {
              id: "run-this",
              title: text.jobs.runNamed(summary.name),
              group: "here",
              keys: "r",
              run: () => ask(true),
            },
          ]
        : [],
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
        <Button
          look="primary"
          onClick={() => ask(true)}
          disabled={!runnable}
          title={runnable ? undefined : text.jobs.cannotRun}
        >
          <Icon name="runs" className="size-3.5" />
          {text.jobs.run}
        </Button>
      </div>

      {problems.length > 0 && <Problems problems={problems} runnable={runnable} />}

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
            <span className="min-w-0 truncate font-mono text-label text-faint" title={summary.file}>
              {summary.file}
            </span>
          </>
        }
      >
        <Card className="grid">
          <SourceText
            source={source}
            problems={problems}
            label={`${text.jobs.definition}: ${summary.name}`}
          />
        </Card>
      </Block>
      {runnable && <RunDialog open={run} onClose={() => ask(false)} definition={summary} from={from} />}
    </div>
  );
}

function Block({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: React.ReactNode;
  children: React.ReactNode;
}) {
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
