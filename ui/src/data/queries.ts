// What the screens read. Events keep it fresh (`sync.ts`); coming back to the window reads it again.

import {
  focusManager,
  type InfiniteData,
  infiniteQueryOptions,
  QueryClient,
  queryOptions,
} from "@tanstack/react-query";
import { backend } from "../backend";
import type { JobProgress, RunSummary, SearchRequest, SearchResults, Settings } from "../backend/types";

export const RUNS_PAGE = 50;
export const HITS_PAGE = 50;

export function newClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      // Everything is local: no network to wait for, and a failure will not mend itself.
      queries: { networkMode: "always", retry: false, refetchOnWindowFocus: "always", gcTime: 10 * 60_000 },
      mutations: { networkMode: "always", retry: false },
    },
  });
}

/** A desktop window can lose and gain focus while it stays visible. */
export function watchFocus(): void {
  focusManager.setEventListener((handle) => {
    const gained = () => handle(document.visibilityState === "visible");
    window.addEventListener("focus", gained);
    document.addEventListener("visibilitychange", gained);
    return () => {
      window.removeEventListener("focus", gained);
      document.removeEventListener("visibilitychange", gained);
    };
  });
}

export type RunPages = InfiniteData<RunSummary[], string | null>;
export type HitPages = InfiniteData<SearchResults, number>;

export const runsQuery = infiniteQueryOptions({
  queryKey: ["runs"],
  queryFn: ({ pageParam }) => backend.listRuns(pageParam, RUNS_PAGE),
  initialPageParam: null as string | null,
  getNextPageParam: (last) => (last.length === RUNS_PAGE ? last.at(-1)?.id : undefined),
});

export const runQuery = (id: string) =>
  queryOptions({ queryKey: ["run", id], queryFn: () => backend.getRun(id) });

export const definitionsQuery = queryOptions({
  queryKey: ["definitions"],
  queryFn: () => backend.listDefinitions(),
});

export const definitionQuery = (id: string) =>
  queryOptions({ queryKey: ["definition", id], queryFn: () => backend.getDefinition(id) });

export const historyQuery = (id: string) =>
  queryOptions({ queryKey: ["history", id], queryFn: () => backend.definitionHistory(id) });

/** Texts that are kept never change; only the present one (`to` is `null`) does. */
export const versionsDiffQuery = (id: string, from: number, to: number | null) =>
  queryOptions({ queryKey: ["history", id, from, to], queryFn: () => backend.diffVersions(id, from, to) });

export const deletedQuery = queryOptions({
  queryKey: ["deleted"],
  queryFn: () => backend.deletedDefinitions(),
});

export const schedulesQuery = queryOptions({
  queryKey: ["schedules"],
  queryFn: () => backend.listSchedules(),
});

export const statisticsQuery = (run: string) =>
  queryOptions({ queryKey: ["statistics", run], queryFn: () => backend.runStatistics(run) });

export const runsDiffQuery = (from: string, to: string) =>
  queryOptions({ queryKey: ["runs-diff", from, to], queryFn: () => backend.diffRuns(from, to) });

export const storageWaitQuery = queryOptions({
  queryKey: ["storage-wait"],
  queryFn: () => backend.storageWait(),
});
export const pausedQuery = queryOptions({ queryKey: ["paused"], queryFn: () => backend.isPaused() });

/** How fast a run is and how long it will take; told by events only. */
export type Pace = Pick<JobProgress, "tasks_per_minute" | "remaining_ms">;
export const paceQuery = (run: string) =>
  queryOptions<Pace | null>({ queryKey: ["pace", run], queryFn: () => null, enabled: false });

export const infoQuery = queryOptions({ queryKey: ["info"], queryFn: () => backend.appInfo() });

export const settingsQuery = queryOptions({ queryKey: ["settings"], queryFn: () => backend.getSettings() });

export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: () => backend.listProviders(),
});

export const profilesQuery = queryOptions({
  queryKey: ["profiles"],
  queryFn: () => backend.listProfiles(),
});

/** Changes some of the settings and keeps the others. */
export async function changeSettings(client: QueryClient, change: Partial<Settings>): Promise<void> {
  client.setQueryData(settingsQuery.queryKey, (old) => old && { ...old, ...change });
  await backend.setSettings({ ...(await backend.getSettings()), ...change });
}

export const startupQuery = queryOptions({
  queryKey: ["startup"],
  queryFn: () => backend.startupError(),
  staleTime: Number.POSITIVE_INFINITY,
  refetchOnWindowFocus: false,
});

export const documentQuery = (id: string) =>
  queryOptions({ queryKey: ["document", id], queryFn: () => backend.getDocument(id) });

export type DocumentFilter = Pick<SearchRequest, "query" | "tags" | "source_types" | "run">;

export const documentsQuery = (filter: DocumentFilter) =>
  infiniteQueryOptions({
    queryKey: ["documents", filter],
    queryFn: ({ pageParam }) => backend.searchDocuments({ ...filter, offset: pageParam, limit: HITS_PAGE }),
    initialPageParam: 0,
    getNextPageParam: (last, pages) => {
      const seen = pages.reduce((sum, page) => sum + page.hits.length, 0);
      return last.hits.length > 0 && seen < last.total ? seen : undefined;
    },
  });
