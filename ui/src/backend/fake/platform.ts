// The in-memory backend of the development server, furnished by the address:
// `?seed=filled|empty|huge|live`, `&fail=listRuns,getRun`, `&hang=listRuns`.

import type { Backend } from "../backend";
import type { StartedBy } from "../types";
import { FakeBackend, type Method } from "./engine";
import type { Cause, FakeRun } from "./run";

export function furnish(query: URLSearchParams): FakeBackend {
  const seed = query.get("seed") ?? "filled";
  const fake = new FakeBackend({ tickMs: query.has("still") ? null : 160, size: 60 });
  if (seed === "filled" || seed === "huge") furnishRuns(fake, seed === "huge" ? 100_000 : 60);
  const methods = (name: string) => (query.get(name) ?? "").split(",").filter(Boolean) as Method[];
  if (query.has("paused")) void fake.pauseAll(true);
  for (const method of methods("fail")) {
    fake.fail(method, { code: "storage", message: "The database could not be read: disk I/O error." });
  }
  if (query.has("broken")) {
    const message = "Another Quaero (process 4711) is using /home/you/.local/share/quaero.";
    fake.broken = { code: "busy", message, hint: null, where: null };
  }
  for (const method of methods("hang")) fake.hang(method);
  if (!query.has("still")) fake.start();
  return fake;
}

/** Runs of every origin and state, oldest first, and a definition with a past. */
function furnishRuns(fake: FakeBackend, size: number): void {
  const by = (started_by: StartedBy, rerun_of: string | null = null): Cause => ({
    started_by,
    rerun_of,
    parent_run: null,
  });
  const news = "https://example.org/news/";
  const nothing = () => {};
  fake.seedRun("crawl-site", "https://example.org/docs/", 6_000, 200, 18);
  fake.seedRun("index-folder", "/home/you/missing", 2_900, 20);
  fake.seedRun("crawl-site", news, 1_500, 4, 30, (run) => run.cancel());
  const earlier = fake.seedRun("morning-papers", news, 1_460, 200, 9, nothing, by("schedule"));
  const text = fake.library.get("morning-papers").text;
  fake.library.write(
    "morning-papers",
    text.replace("max_pages = 40", 'max_pages = 60\nlanguage = "en"'),
    "saved",
  );
  const repeated = (run: FakeRun) => {
    run.reuse(earlier, (step) => step.name === "crawl");
    run.finish();
  };
  fake.seedRun("morning-papers", news, 700, 0, 9, repeated, by("rerun", earlier.id));
  fake.seedRun("index-folder", "/home/you/Documents/flawed", 190, 200, 40);
  fake.seedRun("crawl-site", "https://example.net/handbook/", 42, 3, 24, (run) => run.interrupt());
  fake.seedRun("morning-papers", news, 30, 6, 30, (run) => run.retryLater("index", 12), by("schedule"));
  fake.seedRun("crawl-site", "https://example.com/reports/", 12, 4, 30, (run) => run.pause());
  fake.seedRun("morning-papers", news, 4, 0, 9, (run) => run.queue(), by("schedule"));
  fake.seedRun("index-folder", "/home/you/Documents/energy", 0.7, 9, size);
}

export const backend: Backend = furnish(new URLSearchParams(location.search));

// The router keeps its address in the fragment and would take this query for its own.
history.replaceState(null, "", location.pathname + location.hash);
