// One run: how far it is, what can be done with it, and its tasks, log, documents and definition.

import { Tabs } from "@base-ui/react/tabs";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState, useSyncExternalStore } from "react";
import type { JobNode, RerunPart, RunSummary, RunView } from "../../backend/types";
import { paceQuery, pausedQuery, runQuery } from "../../data/queries";
import { isEnded } from "../../data/sync";
import { clock, exactTime, number, percent, when } from "../../format";
import { LinkButton, linkClass } from "../../parts/button";
import { Icon, type IconName } from "../../parts/icon";
import { Page, PageTitle } from "../../parts/page";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { Failed, SkeletonRows } from "../../parts/states";
import { isOpen, StatusChip, shownStatus } from "../../parts/status";
import { remedies, text } from "../../text";
import { AsRun } from "./as-run";
import { JobTree, useTreeModel } from "./job-tree";
import { LogView } from "./log-view";
import { RunActions } from "./run-actions";
import { useRerun } from "./run-again";
import { RunDocuments } from "./run-documents";
import { Elapsed, Subject } from "./run-line";
import { Statistics } from "./statistics";
import { TaskDetail } from "./task-detail";

export const TABS = ["tasks", "log", "documents", "statistics", "warnings", "definition"] as const;
export type Tab = (typeof TABS)[number];

type Props = {
  id: string;
  tab: Tab;
  /** The run whose definition is compared with this one's. */
  other: string | null;
};

export function RunPage({ id, tab, other }: Props) {
  /** Whether it is run again with the definition as it is now. */
  const [current, setCurrent] = useState(false);
  const { data, error, isPending, refetch } = useQuery(runQuery(id));
  const name = data?.summary.name ?? text.nav.runs;
  return (
    <Page
      title={name}
      heading={
        <div className="flex min-w-0 items-center gap-2.5">
          <Link to="/runs" className="-m-1 rounded-s p-1 text-muted hover:text-text @max-[30rem]/main:hidden">
            {text.nav.runs}
          </Link>
          <span aria-hidden="true" className="text-faint @max-[30rem]/main:hidden">
            /
          </span>
          <PageTitle>{name}</PageTitle>
          {data && <Subject run={data.summary} className="@max-[30rem]/main:hidden" />}
          {data && (
            <span data-testid="run-status" data-status={data.summary.status} className="inline-flex">
              <StatusChip status={shownStatus(data.summary)} />
            </span>
          )}
        </div>
      }
      actions={data && <RunActions run={data} current={current} onCurrent={setCurrent} />}
    >
      {isPending ? (
        <SkeletonRows rows={8} />
      ) : error ? (
        <Failed error={error} retry={() => void refetch()}>
          <LinkButton to="/runs">{text.run.notFound}</LinkButton>
        </Failed>
      ) : (
        <Content run={data} tab={tab} other={other} current={current} />
      )}
    </Page>
  );
}

type ContentProps = { run: RunView; tab: Tab; other: string | null; current: boolean };

function Content({ run, tab, other, current }: ContentProps) {
  const navigate = useNavigate();
  const { summary } = run;
  const tree = useTreeModel(summary.id, run.steps);
  useSyncExternalStore(tree.subscribe, tree.version);
  const [selected, setSelected] = useState<string | null>(null);
  /** A task that was opened from elsewhere; the tree may not have read it. */
  const [opened, setOpened] = useState<JobNode | null>(null);
  const rerun = useRerun(run, current);
  const everythingPaused = useQuery(pausedQuery).data ?? false;
  const documents = summary.documents.created + summary.documents.updated;
  const shown = tab === "warnings" && summary.warnings === 0 ? "tasks" : tab;
  const choose = (next: Tab, than: string | null = null) =>
    void navigate({
      to: "/runs/$id",
      params: { id: summary.id },
      search: than === null ? { tab: next } : { tab: next, with: than },
      replace: true,
    });
  const openTask = (task: JobNode) => {
    setOpened(task);
    setSelected(task.id);
    choose("tasks");
  };
  const job =
    selected === null ? undefined : (tree.find(selected) ?? (opened?.id === selected ? opened : undefined));
  const step = run.steps.find((one) => one.id === selected);
  const close = () => setSelected(null);
  return (
    <Tabs.Root
      value={shown}
      onValueChange={(next: Tab) => choose(next)}
      className="flex min-h-0 flex-1 flex-col"
    >
      <div className="shrink-0 border-b border-line px-4 pt-3">
        <Summary summary={summary} />
        {summary.error && (
          <Callout
            title={text.run.failedTitle}
            about={summary.error.message}
            remedy={remedies[summary.error.code]}
            colour="text-error"
          />
        )}
        {summary.status === "interrupted" && (
          <Callout title={text.run.interruptedTitle} about={text.run.interruptedAbout} colour="text-warn" />
        )}
        {summary.status === "paused" && (
          <Callout
            icon="pause"
            title={text.run.pausedTitle}
            about={text.run.pausedAbout}
            colour="text-info"
          />
        )}
        {summary.status === "queued" && (
          <Callout
            icon="schedule"
            title={text.run.queuedTitle}
            about={text.run.queuedAbout}
            colour="text-info"
          />
        )}
        {summary.status === "running" && everythingPaused && (
          <Callout icon="pause" title={text.pauseAll.paused} about={text.pauseAll.about} colour="text-warn" />
        )}
        <Tabs.List className="-mx-1.5 mt-2.5 flex flex-wrap gap-x-1.5">
          <TabName value="tasks" count={summary.jobs.total} />
          <TabName value="log" />
          <TabName value="documents" count={documents} />
          <TabName value="statistics" />
          {summary.warnings > 0 && <TabName value="warnings" count={summary.warnings} />}
          <TabName value="definition" />
        </Tabs.List>
      </div>
      <Panel value="tasks">
        <div className="flex min-h-0 min-w-0 flex-1 @max-[54rem]/main:flex-col">
          <JobTree
            run={summary.id}
            steps={run.steps}
            live={summary.status === "running"}
            selected={selected}
            onSelect={setSelected}
            model={tree}
          />
          {job ? (
            <TaskDetail run={summary.id} job={job} onClose={close} />
          ) : (
            step && (
              <TaskDetail
                run={summary.id}
                step={step}
                onClose={close}
                onAgain={isEnded(summary.status) ? () => rerun.again({ from: step.name }) : null}
                refused={isOfStep(rerun.part, step.name) ? rerun.error : null}
                onAnyway={isOfStep(rerun.part, step.name) ? rerun.anyway : null}
              />
            )
          )}
        </div>
      </Panel>
      <Panel value="log">
        <LogView run={summary.id} />
      </Panel>
      <Panel value="documents">
        <RunDocuments run={summary} />
      </Panel>
      <Panel value="statistics">
        <Statistics run={summary.id} live={isOpen(summary)} onOpen={openTask} />
      </Panel>
      <Panel value="warnings">
        <Warnings run={run} />
      </Panel>
      <Panel value="definition">
        <AsRun run={run} other={other} onOther={(next) => choose("definition", next)} />
      </Panel>
    </Tabs.Root>
  );
}

function TabName({ value, count }: { value: Tab; count?: number }) {
  return (
    <Tabs.Tab
      value={value}
      className="relative flex h-8 items-center gap-1.5 rounded-s px-1.5 text-muted transition-colors duration-75 hover:text-text data-active:font-medium data-active:text-text data-active:after:absolute data-active:after:inset-x-1.5 data-active:after:-bottom-px data-active:after:h-0.5 data-active:after:bg-accent focus-visible:outline-offset-[-2px]"
    >
      {text.run.tabs[value]}
      {count !== undefined && <span className="num text-meta font-normal text-faint">{number(count)}</span>}
    </Tabs.Tab>
  );
}

function Panel({ value, children }: { value: Tab; children: ReactNode }) {
  return (
    <Tabs.Panel value={value} tabIndex={-1} className="flex min-h-0 flex-1 flex-col outline-none">
      {children}
    </Tabs.Panel>
  );
}

function Summary({ summary }: { summary: RunSummary }) {
  const { jobs, documents } = summary;
  const done = doneTasks(jobs);
  const words = text.run.tasks(done, jobs.total);
  const live = summary.status === "running";
  return (
    <div className="flex flex-wrap items-end gap-x-7 gap-y-2">
      <div className={`max-w-[26rem] flex-1 ${live ? "min-w-64" : "min-w-52"}`}>
        <div className="num mb-1.5 flex flex-wrap justify-between gap-x-3 text-meta">
          <span>
            {jobs.total === 0 && live ? (
              text.run.preparing
            ) : (
              <>
                <b className="font-semibold">{words.done}</b>
                {words.rest}
              </>
            )}
          </span>
          {live && jobs.total > 0 && (
            <span className="text-muted">
              {percent(done, jobs.total)} · <PaceWords run={summary.id} />
            </span>
          )}
        </div>
        <ProgressBar jobs={jobs} label={text.run.progress} />
      </div>
      {(live || summary.finished !== null) && (
        <Figure name={live ? text.run.elapsed : text.run.took}>
          <Elapsed run={summary} />
        </Figure>
      )}
      <Figure name={text.run.documents}>{text.run.docCounts(documents, live)}</Figure>
      {jobs.failed > 0 && (
        <Figure name={text.run.failedTasks} colour="text-error">
          {text.tasksCount(jobs.failed)}
        </Figure>
      )}
      {summary.warnings > 0 && (
        <Figure name={text.run.warnings} colour="text-warn">
          {number(summary.warnings)}
        </Figure>
      )}
      <Figure name={text.run.started}>
        <time dateTime={summary.started} title={exactTime(summary.started)}>
          {when(summary.started)}
        </time>{" "}
        <Cause run={summary} />
      </Figure>
    </div>
  );
}

/** How fast it is and how long it will take, as far as anybody can tell. */
function PaceWords({ run }: { run: string }) {
  const pace = useQuery(paceQuery(run)).data;
  const rate = pace?.tasks_per_minute ?? null;
  const left = pace?.remaining_ms ?? null;
  return (
    <>
      {rate !== null && <span className="@max-[38rem]/main:hidden">{text.run.rate(rate)} · </span>}
      {left === null ? text.run.unknownLeft : text.run.left(clock(left))}
    </>
  );
}

/** Whether this step was the first to be run again. */
const isOfStep = (part: RerunPart, step: string) => typeof part === "object" && part.from === step;

/** What has started the run, and the run that it repeats or belongs to. */
function Cause({ run: { started_by, rerun_of, parent_run } }: { run: RunSummary }) {
  return (
    <>
      {text.run.startedBy[started_by]}
      {parent_run !== null && (
        <>
          {" "}
          <Link to="/runs/$id" params={{ id: parent_run }} className={linkClass}>
            {text.run.runLink(parent_run)}
          </Link>
        </>
      )}
      {rerun_of !== null && (
        <>
          , {text.run.repeats}{" "}
          <Link to="/runs/$id" params={{ id: rerun_of }} className={linkClass}>
            {text.run.runLink(rerun_of)}
          </Link>
        </>
      )}
    </>
  );
}

function Figure({ name, colour = "", children }: { name: string; colour?: string; children: ReactNode }) {
  return (
    <div className="num text-meta">
      <div className="text-faint">{name}</div>
      <div className={colour}>{children}</div>
    </div>
  );
}

function Callout({
  title,
  about,
  remedy,
  colour,
  icon = "warn",
}: {
  icon?: IconName;
  title: string;
  about: string;
  remedy?: string | undefined;
  colour: string;
}) {
  return (
    <div className={`tinted mt-3 flex items-start gap-2 rounded-m border px-3 py-2 ${colour}`}>
      <Icon name={icon} className="mt-0.5 size-4" />
      <div className="min-w-0 text-text [overflow-wrap:anywhere]">
        <b className="font-semibold">{title}.</b> {about}{" "}
        {remedy && <span className="text-muted">{remedy}</span>}
      </div>
    </div>
  );
}

function Warnings({ run }: { run: RunView }) {
  const missing = run.summary.warnings - run.warnings.length;
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <ul>
        {run.warnings.map((warning, at) => (
          <li
            key={at}
            className="flex items-start gap-2 border-b border-line px-4 py-2 [overflow-wrap:anywhere]"
          >
            <Icon name="warn" className="mt-0.5 size-3.5 text-warn" />
            {warning}
          </li>
        ))}
      </ul>
      {missing > 0 && <p className="px-4 py-2 text-muted">{text.run.moreWarnings(missing)}</p>}
    </div>
  );
}
