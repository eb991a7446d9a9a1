// All runs in a table, newest first.

import { Link, useNavigate } from "@tanstack/react-router";
import type { RunStatus, RunSummary } from "../../backend/types";
import { useRuns } from "../../data/hooks";
import { exactTime, number, when } from "../../format";
import { Button, LinkButton } from "../../parts/button";
import { Segments, Select } from "../../parts/field";
import { Page } from "../../parts/page";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { Empty, Failed, SkeletonRows } from "../../parts/states";
import { Chip, StatusChip, shownStatus } from "../../parts/status";
import { text } from "../../text";
import { Elapsed, Subject } from "./run-line";

export const STATUSES = [
  "running",
  "paused",
  "queued",
  "interrupted",
  "completed",
  "failed",
  "cancelled",
] as const satisfies RunStatus[];
type Shown = RunStatus | "all";

export function Runs({ status }: { status: Shown }) {
  const navigate = useNavigate();
  const query = useRuns();
  const runs = query.runs.filter((run) => status === "all" || run.status === status);
  const choose = (next: Shown) =>
    void navigate({ to: "/runs", search: next === "all" ? {} : { status: next }, replace: true });

  return (
    <Page
      title={text.runs.title}
      actions={
        query.runs.length > 0 && (
          <>
            <div className="@max-[58rem]/main:hidden">
              <Segments label={text.runs.filter} value={status} options={OPTIONS} onChange={choose} />
            </div>
            <div className="hidden @max-[58rem]/main:block">
              <Select
                label={text.runs.filter}
                value={status}
                options={OPTIONS}
                onChange={choose}
                className="w-36"
              />
            </div>
          </>
        )
      }
    >
      <div className="min-h-0 flex-1 overflow-y-auto">
        {query.isPending ? (
          <SkeletonRows rows={8} className="h-9" />
        ) : query.error ? (
          <Failed error={query.error} retry={() => void query.refetch()} />
        ) : query.runs.length === 0 ? (
          <Empty icon="runs" title={text.runs.none} about={text.runs.noneAbout}>
            <LinkButton to="/" look="primary">
              {text.runs.start}
            </LinkButton>
          </Empty>
        ) : runs.length === 0 && status !== "all" ? (
          <Empty icon="filter" title={text.runs.noMatch(text.status[status])}>
            <Button onClick={() => choose("all")}>{text.runs.clear}</Button>
          </Empty>
        ) : (
          <RunTable runs={runs} />
        )}
        {query.hasNextPage && (
          <div className="p-3 text-center">
            <Button onClick={() => void query.fetchNextPage()} busy={query.isFetchingNextPage}>
              {text.runs.more}
            </Button>
          </div>
        )}
      </div>
    </Page>
  );
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

const OPTIONS: [Shown, string][] = [
  ["all", text.runs.all],
  ...STATUSES.map((status): [Shown, string] => [status, capital(text.status[status])]),
];

function RunTable({ runs }: { runs: RunSummary[] }) {
  const navigate = useNavigate();
  const columns = text.runs.columns;
  const head = "h-8 px-2 text-left text-label font-medium text-faint whitespace-nowrap";
  const cell = "h-9 px-2";
  const rare = "@max-[54rem]/main:hidden";
  const rarer = "@max-[42rem]/main:hidden";
  return (
    <table className="w-full table-fixed border-collapse">
      <thead>
        <tr className="border-b border-line">
          <th className={`${head} w-50 pl-4 @max-[42rem]/main:w-40 @max-[30rem]/main:w-30`}>
            {columns.status}
          </th>
          <th className={head}>{columns.name}</th>
          <th className={`${head} w-36 ${rarer}`}>{columns.tasks}</th>
          <th className={`${head} w-24 text-right ${rare}`}>{columns.documents}</th>
          <th className={`${head} w-20 text-right ${rare}`}>{columns.took}</th>
          <th className={`${head} w-36 pr-4 text-right @max-[30rem]/main:w-24`}>{columns.started}</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr
            key={run.id}
            // No layer of the link over its row: WebKit would lay it over the whole table.
            onClick={(event) => {
              if (!event.defaultPrevented) void navigate({ to: "/runs/$id", params: { id: run.id } });
            }}
            className="cursor-pointer border-b border-line transition-colors duration-75 hover:bg-bg0"
          >
            <td className={`${cell} pl-4`}>
              <div className="flex">
                <StatusChip status={shownStatus(run)} />
              </div>
            </td>
            <td className={cell}>
              <div className="flex items-center gap-2">
                <Link
                  to="/runs/$id"
                  params={{ id: run.id }}
                  title={run.subject}
                  className="flex min-w-0 shrink-99999 items-baseline gap-2 rounded-s py-1 @max-[42rem]/main:flex-col @max-[42rem]/main:gap-0"
                >
                  <span className="max-w-full min-w-0 truncate font-medium">{run.name}</span>{" "}
                  <Subject run={run} className="max-w-full" />
                </Link>
                {run.warnings > 0 && <Chip colour="text-warn">{text.warnings(run.warnings)}</Chip>}
              </div>
            </td>
            <td className={`${cell} num ${rarer}`}>
              {shownStatus(run) === "running" ? (
                <div className="flex items-center gap-2">
                  <ProgressBar jobs={run.jobs} className="h-1 w-14" />
                  <span className="text-meta text-muted">
                    {number(doneTasks(run.jobs))}/{number(run.jobs.total)}
                  </span>
                </div>
              ) : (
                <span className="text-meta text-muted">{text.tasksCount(run.jobs.total)}</span>
              )}
            </td>
            <td className={`${cell} num text-right text-meta text-muted ${rare}`}>
              {number(run.documents.created + run.documents.updated + run.documents.unchanged)}
            </td>
            <td className={`${cell} num text-right text-meta text-muted ${rare}`}>
              <Elapsed run={run} />
            </td>
            <td className={`${cell} num pr-4 text-right text-meta text-muted`}>
              <time dateTime={run.started} title={exactTime(run.started)}>
                {when(run.started)}
              </time>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
