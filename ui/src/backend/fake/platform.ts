// The in-memory backend of the development server, furnished by the address:
// `?seed=filled|empty|huge|live`, `&fail=listRuns,getRun`, `&hang=listRuns`.

import type { Backend } from "../backend";
import { FakeBackend, type Method } from "./engine";

export function furnish(query: URLSearchParams): FakeBackend {
  const seed = query.get("seed") ?? "filled";
  const fake = new FakeBackend({ tickMs: query.has("still") ? null : 160, size: 60 });
  if (seed === "filled" || seed === "huge") {
    fake.seedRun("crawl-site", "https://example.org/docs/", 6_000, 200, 18);
    fake.seedRun("index-folder", "/home/you/missing", 2_900, 20);
    fake.seedRun("crawl-site", "https://example.org/news/", 1_500, 4, 30, (run) => run.cancel());
    fake.seedRun("index-folder", "/home/you/Documents/flawed", 190, 200, 40);
    fake.seedRun("crawl-site", "https://example.net/handbook/", 42, 3, 24, (run) => run.interrupt());
    const size = seed === "huge" ? 100_000 : 60;
    fake.seedRun("index-folder", "/home/you/Documents/energy", 0.7, 9, size);
  }
  const methods = (name: string) => (query.get(name) ?? "").split(",").filter(Boolean) as Method[];
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

export const backend: Backend = furnish(new URLSearchParams(location.search));

// The router keeps its address in the fragment and would take this query for its own.
history.replaceState(null, "", location.pathname + location.hash);
