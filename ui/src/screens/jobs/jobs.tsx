// The job definitions: a list of them, and the chosen one.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { DefinitionSummary, RunSummary, ScheduleView } from "../../backend/types";
import { useDefinitions, useRuns, useSchedules } from "../../data/hooks";
import { definitionQuery, infoQuery } from "../../data/queries";
import { when, whenNext } from "../../format";
import { Icon } from "../../parts/icon";
import { Page } from "../../parts/page";
import { Empty, Failed, SkeletonRows, SkeletonText } from "../../parts/states";
import { Chip, StatusShape, shownStatus } from "../../parts/status";
import { text } from "../../text";
import { Definition, VIEWS, type View } from "./definition";
import { ImportAndTrash } from "./import-and-trash";
import { EnabledToggle } from "./schedule";

export { VIEWS };

type Props = {
  id: string | null;
  /** Whether the form to run it is open. */
  run: boolean;
  view: View;
};

export function Jobs({ id, run, view }: Props) {
  const { data, error, isPending, refetch } = useDefinitions();
  const info = useQuery(infoQuery).data;
  const schedules = useSchedules().data;
  const { runs } = useRuns();
  const shown = id ?? data?.[0]?.id ?? null;
  return (
    <Page title={text.jobs.title} actions={<ImportAndTrash />}>
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
                <Item
                  key={definition.id}
                  definition={definition}
                  schedule={schedules?.find((one) => one.definition_id === definition.id)}
                  last={runs.find((one) => one.definition_id === definition.id)}
                  on={definition.id === shown}
                />
              ))}
            </ul>
          </nav>
          {shown && <Detail key={shown} id={shown} run={run} view={view} />}
        </div>
      )}
    </Page>
  );
}

type ItemProps = {
  definition: DefinitionSummary;
  schedule: ScheduleView | undefined;
  last: RunSummary | undefined;
  on: boolean;
};

function Item({ definition, schedule, last, on }: ItemProps) {
  const own = definition.origin === "user" && definition.schedule !== null;
  return (
    <li className="relative border-b border-line">
      <Link
        to="/jobs/$id"
        params={{ id: definition.id }}
        aria-current={on ? "true" : undefined}
        className={`grid gap-1 px-4 py-2.5 outline-offset-[-2px] transition-colors duration-75 ${on ? "selected" : "hover:bg-bg0"}`}
      >
        <span className={`flex min-h-5 items-center gap-2 ${own ? "pr-12" : ""}`}>
          <span className="flex-1 truncate font-medium">{definition.name}</span>
          <ProblemsBadge definition={definition} />
        </span>
        <span className="line-clamp-2 text-meta text-muted">{definition.description}</span>
        {schedule && (
          <span
            className={`flex items-start gap-1.5 text-meta ${schedule.enabled ? "text-muted" : "text-faint"}`}
          >
            <Icon name="schedule" className="mt-0.5 size-3.5 text-faint" />
            <span className="min-w-0">
              {schedule.description}
              <span className="num block text-faint">
                {schedule.next[0] ? whenNext(schedule.next[0]) : text.schedule.off}
              </span>
            </span>
          </span>
        )}
        {last && (
          <span className="flex items-center gap-1.5 text-meta text-faint">
            <StatusShape status={shownStatus(last)} className="size-3.5" />
            <span className="sr-only">{text.jobs.lastRun}: </span>
            <span className="num truncate">
              {text.status[shownStatus(last)]}, {when(last.finished ?? last.started)}
            </span>
          </span>
        )}
      </Link>
      {own && (
        <span className="absolute top-2 right-3">
          <EnabledToggle definition={definition} />
        </span>
      )}
    </li>
  );
}

function ProblemsBadge({ definition: { errors, warnings } }: { definition: DefinitionSummary }) {
  if (errors + warnings === 0) return null;
  return <Chip colour={errors > 0 ? "text-error" : "text-warn"}>{text.jobs.problems(errors, warnings)}</Chip>;
}

function Detail({ id, run, view }: { id: string; run: boolean; view: View }) {
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
        <Definition definition={data} run={run} view={view} />
      )}
    </section>
  );
}
