// One run: how far it is, what can be done with it, and its tasks, log, documents and definition.

import { Tabs } from "@base-ui/react/tabs";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useMemo, useState, useSyncExternalStore } from "react";
import { type Action, useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { RunSummary, RunView } from "../../backend/types";
import { useCommand, useDefinitions } from "../../data/hooks";
import { runQuery } from "../../data/queries";
import { isEnded } from "../../data/sync";
import { exactTime, number, percent, when } from "../../format";
import { Button, LinkButton } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Fact, Facts, Page, PageTitle } from "../../parts/page";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { SourceText } from "../../parts/source-text";
import { Failed, InlineError, SkeletonRows } from "../../parts/states";
import { StatusChip, shownStatus } from "../../parts/status";
import { remedies, text } from "../../text";
import { JobTree, useTreeModel } from "./job-tree";
import { LogView } from "./log-view";
import { RunDocuments } from "./run-documents";
import { Elapsed, Subject } from "./run-line";
import { TaskDetail } from "./task-detail";

export const TABS = ["tasks", "log", "documents", "warnings", "definition"] as const;
export type Tab = (typeof TABS)[number];

export function RunPage({ id, tab }: { id: string; tab: Tab }) {
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
      actions={data && <RunActions run={data} />}
    >
      {isPending ? (
        <SkeletonRows rows={8} />
      ) : error ? (
        <Failed error={error} retry={() => void refetch()}>
          <LinkButton to="/runs">{text.run.notFound}</LinkButton>
        </Failed>
      ) : (
        <Content run={data} tab={tab} />
      )}
    </Page>
  );
}

/** In a narrow window a button is its icon; the name stays for those who listen. */
const narrow = "@max-[34rem]/main:sr-only";

function RunActions({ run }: { run: RunView }) {
  const navigate = useNavigate();
  const { id, status, definition_id } = run.summary;
  const cancel = useCommand(backend.cancelRun.bind(backend));
  const resume = useCommand(backend.resumeRun.bind(backend));
  const definition = useDefinitions().data?.find((one) => one.id === definition_id && one.errors === 0);
  const open = !isEnded(status);
  // The run itself ends a little after the cancel has been accepted.
  const cancelling = cancel.pending || cancel.done;
  const canCancel = open && !cancelling;
  const canResume = status === "interrupted" && !resume.pending;
  const canRepeat = !open && definition !== undefined;
  const { start: startCancel } = cancel;
  const { start: startResume } = resume;
  const actions = useMemo((): Action[] => {
    const repeat = () =>
      void navigate({ to: "/jobs/$id", params: { id: definition_id }, search: { run: true, from: id } });
    return [
      ...(canCancel
        ? [{ id: "cancel-run", title: text.run.cancel, group: "here" as const, run: () => startCancel(id) }]
        : []),
      ...(canResume
        ? [{ id: "resume-run", title: text.run.resume, group: "here" as const, run: () => startResume(id) }]
        : []),
      ...(canRepeat
        ? [{ id: "repeat-run", title: text.run.again, group: "here" as const, run: repeat }]
        : []),
    ];
  }, [id, definition_id, canCancel, canResume, canRepeat, navigate, startCancel, startResume]);
  useActions(actions);

  return (
    <>
      {(cancel.error ?? resume.error) && <InlineError error={(cancel.error ?? resume.error) as never} />}
      {canRepeat && (
        <LinkButton to="/jobs/$id" params={{ id: definition_id }} search={{ run: true, from: id }}>
          <Icon name="again" className="size-3.5" />
          <span className={narrow}>{text.run.again}</span>
        </LinkButton>
      )}
      {open && (
        <Button onClick={() => cancel.start(id)} busy={cancelling}>
          <Icon name="stop" className="size-3.5" />
          <span className={narrow}>{cancelling ? text.run.cancelling : text.run.cancel}</span>
        </Button>
      )}
      {status === "interrupted" && (
        <Button look="primary" onClick={() => resume.start(id)} busy={resume.pending}>
          <Icon name="runs" className="size-3.5" />
          <span className={narrow}>{resume.pending ? text.run.resuming : text.run.resume}</span>
        </Button>
      )}
    </>
  );
}

function Content({ run, tab }: { run: RunView; tab: Tab }) {
  const navigate = useNavigate();
  const { summary } = run;
  const tree = useTreeModel(summary.id, run.steps);
  useSyncExternalStore(tree.subscribe, tree.version);
  const [selected, setSelected] = useState<string | null>(null);
  const documents = summary.documents.created + summary.documents.updated;
  const shown = tab === "warnings" && summary.warnings === 0 ? "tasks" : tab;
  const choose = (next: Tab) =>
    void navigate({ to: "/runs/$id", params: { id: summary.id }, search: { tab: next }, replace: true });
  const job = selected === null ? undefined : tree.find(selected);
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
        <Tabs.List className="-mx-1.5 mt-2.5 flex flex-wrap gap-x-1.5">
          <TabName value="tasks" count={summary.jobs.total} />
          <TabName value="log" />
          <TabName value="documents" count={documents} />
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
            step && <TaskDetail run={summary.id} step={step} onClose={close} />
          )}
        </div>
      </Panel>
      <Panel value="log">
        <LogView run={summary.id} />
      </Panel>
      <Panel value="documents">
        <RunDocuments run={summary} />
      </Panel>
      <Panel value="warnings">
        <Warnings run={run} />
      </Panel>
      <Panel value="definition">
        <AsRun run={run} />
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
      <div className="max-w-[26rem] min-w-52 flex-1">
        <div className="num mb-1.5 flex justify-between text-meta">
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
          {live && jobs.total > 0 && <span className="text-muted">{percent(done, jobs.total)}</span>}
        </div>
        <ProgressBar jobs={jobs} label={text.run.progress} />
      </div>
      <Figure name={live ? text.run.elapsed : text.run.took}>
        <Elapsed run={summary} />
      </Figure>
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
        </time>
      </Figure>
    </div>
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
}: {
  title: string;
  about: string;
  remedy?: string | undefined;
  colour: string;
}) {
  return (
    <div className={`tinted mt-3 flex items-start gap-2 rounded-m border px-3 py-2 ${colour}`}>
      <Icon name="warn" className="mt-0.5 size-4" />
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

function AsRun({ run }: { run: RunView }) {
  return (
    <div className="min-h-0 flex-1 overflow-y-auto p-4">
      <div className="mx-auto grid max-w-[56rem] gap-4">
        {run.variables.length > 0 && (
          <section>
            <h2 className="mb-2 text-ui font-semibold">{text.run.values}</h2>
            <Facts>
              {run.variables.map(([key, value]) => (
                <Fact key={key} name={key} mono>
                  {value}
                </Fact>
              ))}
            </Facts>
          </section>
        )}
        <p className="text-muted">{text.run.definitionAsRun}</p>
        <div className="grid overflow-hidden rounded-l border border-line">
          <SourceText source={run.definition_text} label={text.run.tabs.definition} />
        </div>
      </div>
    </div>
  );
}
