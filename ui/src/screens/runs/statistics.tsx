// What stands out in a run: its tasks by type, the slowest, and the failures by kind.

import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { FailureCount, HostRequests, JobNode, RunStatistics, TypeCounts } from "../../backend/types";
import { statisticsQuery } from "../../data/queries";
import { bytes, number, took } from "../../format";
import { Button } from "../../parts/button";
import { Card } from "../../parts/page";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { Empty, Failed, SkeletonRows } from "../../parts/states";
import { StatusIcon } from "../../parts/status";
import { remedies, text } from "../../text";

type Open = (task: JobNode) => void;

export function Statistics({ run, live, onOpen }: { run: string; live: boolean; onOpen: Open }) {
  const { data, error, isPending, isFetching, refetch } = useQuery(statisticsQuery(run));
  if (isPending) return <SkeletonRows rows={8} className="h-9" />;
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (data.types.length === 0) {
    return (
      <Empty icon="runs" title={text.statistics.none} about={text.statistics.noneAbout}>
        {live && <Button onClick={() => void refetch()}>{text.statistics.refresh}</Button>}
      </Empty>
    );
  }
  return (
    <div className="min-h-0 flex-1 overflow-y-auto p-4">
      <div className="mx-auto grid max-w-[64rem] grid-cols-[minmax(0,1fr)] gap-5">
        <Block
          title={text.statistics.types}
          aside={
            live && (
              <Button look="ghost" onClick={() => void refetch()} busy={isFetching}>
                {text.statistics.refresh}
              </Button>
            )
          }
        >
          <Types types={data.types} />
        </Block>
        <Block title={text.statistics.failures}>
          <Failures statistics={data} onOpen={onOpen} />
        </Block>
        {data.requests.length > 0 && (
          <Block title={text.statistics.requests}>
            <Hosts requests={data.requests} />
          </Block>
        )}
        {data.slowest.length > 0 && (
          <Block title={text.statistics.slowest}>
            <Card>
              <ul>
                {data.slowest.map((task) => (
                  <li key={task.id} className="border-b border-line last:border-0">
                    <button
                      type="button"
                      onClick={() => onOpen(task)}
                      className="flex h-8 w-full items-center gap-2.5 px-3 text-left outline-offset-[-2px] transition-colors duration-75 hover:bg-bg0"
                    >
                      <StatusIcon status={task.status} />
                      <span className="min-w-0 flex-1 truncate" title={task.name}>
                        {task.name}
                      </span>
                      <span className="font-mono text-label text-faint @max-[36rem]/main:hidden">
                        {task.type}
                      </span>
                      <span className="num w-14 shrink-0 text-right text-meta text-muted">
                        {task.started &&
                          task.finished &&
                          took(Date.parse(task.finished) - Date.parse(task.started))}
                      </span>
                    </button>
                  </li>
                ))}
              </ul>
            </Card>
          </Block>
        )}
      </div>
    </div>
  );
}

function Block({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section>
      <div className="mb-1.5 flex min-h-7 items-center gap-2">
        <h2 className="flex-1 text-ui font-semibold">{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

function Types({ types }: { types: TypeCounts[] }) {
  const { columns } = text.statistics;
  const label = "h-8 px-3 text-label font-medium text-faint whitespace-nowrap";
  const head = `${label} text-right`;
  const cell = "num h-8 px-3 text-right text-meta text-muted";
  return (
    <Card>
      <table className="w-full border-collapse">
        <thead>
          <tr className="border-b border-line">
            <th className={`${label} text-left`}>{columns.type}</th>
            <th className={head}>{columns.tasks}</th>
            <th className={`${head} w-40 @max-[36rem]/main:hidden`}>{columns.done}</th>
            <th className={head}>{columns.failed}</th>
            <th className={head}>{columns.mean}</th>
          </tr>
        </thead>
        <tbody>
          {types.map(({ type, jobs, mean_ms }) => (
            <tr key={type} className="border-b border-line last:border-0">
              <td className="h-8 px-3 font-mono text-label">{type}</td>
              <td className={cell}>{number(jobs.total)}</td>
              <td className={`${cell} @max-[36rem]/main:hidden`}>
                <span className="flex items-center justify-end gap-2">
                  <ProgressBar jobs={jobs} className="h-1 w-20" />
                  <span className="min-w-10">{number(doneTasks(jobs))}</span>
                </span>
              </td>
              <td className={`${cell} ${jobs.failed > 0 ? "text-error" : ""}`}>{number(jobs.failed)}</td>
              <td className={cell}>{took(mean_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** What was asked of whom. An answer that is no success says so by its colour. */
function Hosts({ requests }: { requests: HostRequests[] }) {
  const { hostColumns: columns } = text.statistics;
  const label = "h-8 px-3 text-label font-medium text-faint whitespace-nowrap";
  const head = `${label} text-right`;
  const cell = "num px-3 py-1.5 text-right align-top text-meta text-muted whitespace-nowrap";
  return (
    <Card>
      <table className="w-full border-collapse">
        <thead>
          <tr className="border-b border-line">
            <th className={`${label} text-left`}>{columns.host}</th>
            <th className={`${label} text-left`}>{columns.answers}</th>
            <th className={head}>{columns.requests}</th>
            <th className={`${head} @max-[36rem]/main:hidden`}>{columns.bytes}</th>
            <th className={`${head} @max-[36rem]/main:hidden`}>{columns.mean}</th>
            <th className={head}>{columns.slowest}</th>
          </tr>
        </thead>
        <tbody>
          {requests.map((of) => (
            <tr key={`${of.step} ${of.host}`} className="border-b border-line last:border-0">
              <td className="px-3 py-1.5 align-top [overflow-wrap:anywhere]">
                {of.host} <span className="text-meta text-faint">{of.step}</span>
              </td>
              <td className="px-3 py-1.5 align-top">
                <ul className="flex flex-wrap gap-x-3">
                  {of.answers.map(({ answer, count }) => (
                    <li key={answer} className="num text-meta whitespace-nowrap text-muted">
                      {number(count)} ×{" "}
                      <span className={`font-mono text-label ${answerColour(answer)}`}>{answer}</span>
                    </li>
                  ))}
                </ul>
              </td>
              <td className={cell}>{number(of.count)}</td>
              <td className={`${cell} @max-[36rem]/main:hidden`}>{bytes(of.bytes)}</td>
              <td className={`${cell} @max-[36rem]/main:hidden`}>{answeredIn(of.average_ms)}</td>
              <td className={cell} title={of.slowest}>
                {answeredIn(of.slowest_ms)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** Tenths of a second say too little of an answer. */
const answeredIn = (ms: number) => (ms < 1_000 ? text.statistics.milliseconds(ms) : took(ms));

/** Success, what was left alone by agreement, and failure. */
function answerColour(answer: string): string {
  if (/^[23]/.test(answer) || answer === "redirect") return "text-ok";
  return ["robots", "elsewhere", "address_refused"].includes(answer) ? "text-muted" : "text-error";
}

function Failures({ statistics, onOpen }: { statistics: RunStatistics; onOpen: Open }) {
  if (statistics.failures.length === 0) return <p className="text-muted">{text.statistics.noFailures}</p>;
  return (
    <Card>
      <ul>
        {statistics.failures.map((failure) => (
          <Failure key={failure.code} failure={failure} onOpen={onOpen} />
        ))}
      </ul>
    </Card>
  );
}

function Failure({ failure: { code, count, example }, onOpen }: { failure: FailureCount; onOpen: Open }) {
  return (
    <li className="flex flex-wrap items-start gap-x-4 gap-y-2 border-b border-line px-3 py-2 last:border-0">
      <div className="min-w-0 flex-1 basis-56">
        <p className="flex items-baseline gap-2">
          <span className="font-mono text-label text-error">{code}</span>
          <span className="num text-meta text-muted">{text.tasksCount(count)}</span>
        </p>
        <p className="[overflow-wrap:anywhere]">{example.error?.message}</p>
        {remedies[code] && <p className="text-meta text-muted">{remedies[code]}</p>}
      </div>
      <Button onClick={() => onOpen(example)}>
        {text.statistics.example}
        <span className="sr-only">: {example.name}</span>
      </Button>
    </li>
  );
}
