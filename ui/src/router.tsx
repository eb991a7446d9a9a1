// The places of the window and their addresses. They live in the fragment, so that a reload works
// under any protocol.

import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  type RouterHistory,
} from "@tanstack/react-router";
import { Frame } from "./frame/frame";
import { Failed } from "./parts/states";
import { Documents } from "./screens/documents/documents";
import { Home } from "./screens/home";
import { Jobs, VIEWS } from "./screens/jobs/jobs";
import { NotFound } from "./screens/not-found";
import { RunPage, TABS } from "./screens/runs/run-page";
import { Runs, STATUSES } from "./screens/runs/runs";
import { SettingsPage } from "./screens/settings";

const root = createRootRoute({ component: Frame, notFoundComponent: NotFound });

const words = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
const word = (value: unknown): string | undefined => {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
};
const oneOf = <T extends string>(value: unknown, of: readonly T[]): T | undefined =>
  of.find((one) => one === value);
/** Leaves out what is not set, so that addresses stay short. */
const set = <T extends object>(values: T) =>
  Object.fromEntries(
    Object.entries(values).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  ) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

export const homeRoute = createRoute({ getParentRoute: () => root, path: "/", component: Home });

const jobSearch = (search: Record<string, unknown>) =>
  set({ run: search.run === true ? true : undefined, view: oneOf(search.view, VIEWS) });

export const jobsRoute = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  component: () => <Jobs id={null} run={false} view="text" />,
});

export const jobRoute = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$id",
  validateSearch: jobSearch,
  component: function Job() {
    const { run, view } = jobRoute.useSearch();
    return <Jobs id={jobRoute.useParams().id} run={run ?? false} view={view ?? "text"} />;
  },
});

export const runsRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: (search: Record<string, unknown>) => set({ status: oneOf(search.status, STATUSES) }),
  component: function RunsAt() {
    return <Runs status={runsRoute.useSearch().status ?? "all"} />;
  },
});

export const runRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  validateSearch: (search: Record<string, unknown>) =>
    set({ tab: oneOf(search.tab, TABS), with: word(search.with) }),
  component: function RunAt() {
    const { id } = runRoute.useParams();
    const { tab, with: other } = runRoute.useSearch();
    return <RunPage key={id} id={id} tab={tab ?? "tasks"} other={other ?? null} />;
  },
});

export const documentsRoute = createRoute({
  getParentRoute: () => root,
  path: "/documents",
  validateSearch: (search: Record<string, unknown>) =>
    set({
      q: word(search.q),
      tags: words(search.tags),
      sources: words(search.sources),
      run: word(search.run),
      doc: word(search.doc),
      focus: search.focus === true ? true : undefined,
    }),
  component: function DocumentsAt() {
    return <Documents at={documentsRoute.useSearch()} />;
  },
});

export const settingsRoute = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  component: SettingsPage,
});

const tree = root.addChildren([
  homeRoute,
  jobsRoute,
  jobRoute,
  runsRoute,
  runRoute,
  documentsRoute,
  settingsRoute,
]);

export function newRouter(history: RouterHistory = createHashHistory()) {
  return createRouter({
    routeTree: tree,
    history,
    defaultErrorComponent: ({ error, reset }) => <Failed error={error} retry={reset} />,
    defaultPendingMs: 0,
  });
}

export type AppRouter = ReturnType<typeof newRouter>;

declare module "@tanstack/react-router" {
  interface Register {
    router: AppRouter;
  }
}
