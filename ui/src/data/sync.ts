// Events patch what has been read. They are whole values, so a lost one does no harm for longer than
// the next; when the program says that some were lost, everything shown is read again.

import type { QueryClient } from "@tanstack/react-query";
import type { Backend } from "../backend/backend";
import type { AppInfo, JobProgress, JobStatusChange, RunStatus, RunSummary, RunView } from "../backend/types";
import {
  type HitPages,
  infoQuery,
  paceQuery,
  type RunPages,
  runQuery,
  runsQuery,
  schedulesQuery,
  startupQuery,
  statisticsQuery,
  storageWaitQuery,
} from "./queries";

const ENDED: readonly string[] = ["completed", "failed", "cancelled"] satisfies RunStatus[];

/** What is read again when definitions change. */
const DEFINITIONS = ["definitions", "definition", "history", "deleted", "schedules"];

export function isEnded(status: RunStatus): boolean {
  return ENDED.includes(status);
}

/** Keeps `client` in step with `backend`; calls `ended` once for each run that ends. */
export function keepInStep(
  backend: Backend,
  client: QueryClient,
  ended: (change: JobStatusChange) => void,
): () => void {
  return backend.subscribe((happening) => {
    switch (happening.kind) {
      case "progress":
        return applyProgress(client, happening.progress);
      case "status":
        applyStatus(client, happening.change);
        if (happening.change.kind === "parent" && ENDED.includes(happening.change.status))
          ended(happening.change);
        return;
      case "saved":
        return applySaved(client);
      case "definitions":
        return readDefinitions(client);
      case "waits":
        return client.setQueryData(storageWaitQuery.queryKey, happening.error);
      case "halted":
        return client.setQueryData(startupQuery.queryKey, happening.error);
      case "missed":
        return void client.invalidateQueries();
      case "log":
        return;
    }
  });
}

/** Reads again whatever tells of definitions. */
export function readDefinitions(client: QueryClient): void {
  void client.invalidateQueries({
    predicate: ({ queryKey: [kind] }) => DEFINITIONS.includes(kind as string),
  });
}

function applyProgress(client: QueryClient, { run, steps, ...pace }: JobProgress): void {
  const before = client.getQueryData<RunView>(runQuery(run.id).queryKey)?.summary ?? known(client, run.id);
  if (before && isEnded(before.status) && !isEnded(run.status)) return;
  // The first that is heard of a run, perhaps one that its schedule has started.
  if (!before) void client.invalidateQueries({ queryKey: schedulesQuery.queryKey });
  client.setQueryData(paceQuery(run.id).queryKey, pace);

  client.setQueryData<RunPages>(
    runsQuery.queryKey,
    (old) => old && { ...old, pages: patchRuns(old.pages, run) },
  );
  client.setQueryData<RunView>(runQuery(run.id).queryKey, (old) => {
    if (!old) return old;
    const merged = old.steps.map((step) => ({ ...step, ...steps.find((one) => one.id === step.id) }));
    return { ...old, summary: run, steps: merged };
  });

  const created = run.documents.created - (before?.documents.created ?? 0);
  client.setQueryData<AppInfo>(
    infoQuery.queryKey,
    (old) => old && { ...old, documents: old.documents + Math.max(0, created) },
  );
}

function applyStatus(client: QueryClient, change: JobStatusChange): void {
  const key = runQuery(change.run_id).queryKey;
  if (change.kind === "parent") {
    // Its end changes much at once (warnings, errors, counts): read instead of guessing.
    void client.invalidateQueries({ queryKey: key });
    void client.invalidateQueries({ queryKey: runsQuery.queryKey });
    void client.invalidateQueries({ queryKey: infoQuery.queryKey });
    void client.invalidateQueries({ queryKey: statisticsQuery(change.run_id).queryKey });
    void client.invalidateQueries({ queryKey: schedulesQuery.queryKey });
    if (ENDED.includes(change.status)) void client.invalidateQueries({ queryKey: ["documents"] });
    return;
  }
  client.setQueryData<RunView>(key, (old) => {
    if (!old) return old;
    const steps = old.steps.map((step) =>
      step.id === change.job_id ? { ...step, status: change.status, error: change.error } : step,
    );
    return { ...old, steps };
  });
  // The attempt, the next one and the runs it has started are not in the event.
  void client.invalidateQueries({ queryKey: key });
}

/** While a run writes, lists of documents only go stale, or they would jump under the reader's eyes. */
function applySaved(client: QueryClient): void {
  void client.invalidateQueries({ queryKey: ["documents"], refetchType: "none" });
  void client.refetchQueries({
    queryKey: ["documents"],
    type: "active",
    predicate: (query) => (query.state.data as HitPages | undefined)?.pages[0]?.total === 0,
  });
}

function known(client: QueryClient, id: string): RunSummary | undefined {
  return client
    .getQueryData<RunPages>(runsQuery.queryKey)
    ?.pages.flat()
    .find((run) => run.id === id);
}

function patchRuns(pages: RunSummary[][], run: RunSummary): RunSummary[][] {
  if (pages.some((page) => page.some((one) => one.id === run.id))) {
    return pages.map((page) => page.map((one) => (one.id === run.id ? run : one)));
  }
  const [first = [], ...rest] = pages;
  return [[run, ...first], ...rest];
}
