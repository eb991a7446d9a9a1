// Pausing and resuming, what is told of the pace and of the steps, and what stands out in a run.

import { act, screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import type { FakeBackend } from "../../backend/fake/engine";
import { folderRun, open, openRun } from "../../testing/harness";

it("pauses a run and goes on with it", async () => {
  const { user, status, advance } = await openRun(folderRun(4));
  await user.click(screen.getByRole("button", { name: "Pause run" }));
  await waitFor(() => expect(status()).toBe("paused"));
  expect(screen.getByText("Nothing of it starts until you resume it.", { exact: false })).toBeVisible();
  expect(screen.queryByRole("button", { name: "Pause run" })).not.toBeInTheDocument();
  await advance(30);
  expect(status()).toBe("paused");
  await user.click(screen.getByRole("button", { name: "Resume run" }));
  await waitFor(() => expect(status()).toBe("running"));
  await advance(30);
  await waitFor(() => expect(status()).toBe("completed"));
});

it("says that a queued run waits, and lets it be cancelled", async () => {
  const { user, status } = await openRun((fake) => {
    fake.seedRun("index-folder", "/home/you/docs", 1, 0, 9, (run) => run.queue());
  });
  expect(screen.getByText("queued")).toBeVisible();
  expect(screen.getByText(/It starts by itself when an earlier run/)).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Cancel run" }));
  await waitFor(() => expect(status()).toBe("cancelled"));
});

it.each([
  ["Paused", (run: { pause(): void }) => run.pause()],
  ["Queued", (run: { queue(): void }) => run.queue()],
])("lists %s runs by themselves", async (name, change) => {
  const { user } = await open({
    at: "/runs",
    seed: (fake) => {
      folderRun(200)(fake);
      fake.seedRun("index-folder", "/home/you/other", 1, 3, 9, change);
    },
  });
  await user.click(await screen.findByRole("radio", { name }));
  await waitFor(() => expect(screen.queryByRole("link", { name: /docs/ })).not.toBeInTheDocument());
  expect(screen.getByRole("link", { name: /other/ })).toBeVisible();
});

it("pauses everything, says so, and goes on with one click", async () => {
  const { fake, user, status, advance } = await openRun(folderRun(4));
  await user.click(screen.getByRole("button", { name: "Pause everything" }));
  expect(await screen.findAllByText(/Everything is paused/)).toHaveLength(2);
  expect(await fake.isPaused()).toBe(true);
  await advance(30);
  expect(status()).toBe("running");
  await user.click(screen.getByRole("button", { name: "Go on" }));
  await waitFor(() => expect(screen.queryByText(/Everything is paused/)).not.toBeInTheDocument());
  await advance(30);
  await waitFor(() => expect(status()).toBe("completed"));
});

it("tells the pace and the remaining time, and says when nobody can know it", async () => {
  const { fake, id } = await openRun(folderRun(4));
  expect(screen.getByText(/remaining time unknown/)).toBeVisible();
  const run = (await fake.getRun(id)).summary;
  const tell = (tasks_per_minute: number | null, remaining_ms: number | null) =>
    act(async () =>
      fake.tell({ kind: "progress", progress: { run, steps: [], tasks_per_minute, remaining_ms } }),
    );
  await tell(120.4, 20_000);
  expect((await screen.findByText(/120 a minute/)).parentElement).toHaveTextContent(
    "120 a minute · about 0:20 left",
  );
  await tell(90, null);
  expect((await screen.findByText(/90 a minute/)).parentElement).toHaveTextContent("remaining time unknown");
});

it("says what the definition makes of a step, and where its work is otherwise", async () => {
  const { user, id } = await openRun((fake) => {
    fake.seedRun(
      "morning-papers",
      "https://example.org/news/",
      1,
      6,
      30,
      (run) => {
        run.retryLater("crawl", 12);
        run.steps[0]?.runs.push("77");
        const index = run.steps[1];
        if (index) index.reused_from = "55";
      },
      { started_by: "schedule", rerun_of: null, parent_run: "44" },
    );
  });
  expect(screen.getByText(/by its schedule/)).toBeVisible();
  expect(screen.getByRole("link", { name: "run 44" })).toHaveAttribute(
    "href",
    expect.stringContaining("/runs/44"),
  );
  const crawl = await screen.findByRole("treeitem", { name: /^crawl/ });
  expect(crawl).toHaveTextContent(/next attempt today/);
  await user.click(crawl);
  const detail = screen.getByRole("region", { name: "Selected task" });
  expect(detail).toHaveTextContent("Attempt1 of 3");
  expect(detail).toHaveTextContent(/Next attempt\w+ \d+, \d{4}/);
  expect(detail).toHaveTextContent("If it failsit is tried again, then the run fails");
  expect(within(detail).getByRole("link", { name: "run 77" })).toBeVisible();
  expect(within(detail).queryByRole("button", { name: "Run again from here" })).not.toBeInTheDocument();
  await user.click(screen.getByRole("treeitem", { name: /^index/ }));
  expect(detail).toHaveTextContent("Only ifsteps.crawl.completed");
  expect(within(detail).getByRole("link", { name: "from run 55" })).toBeVisible();
  expect(id).not.toBe("");
});

it("counts a run by type, and opens the example of a failure", async () => {
  const { user, router } = await openRun(folderRun(200, 24, "/home/you/flawed"), "?tab=statistics");
  const table = await screen.findByRole("table");
  expect(within(table).getByRole("row", { name: /read_file/ })).toHaveTextContent("read_file2424");
  expect(screen.getByText("permission_denied")).toBeVisible();
  await user.click(screen.getByRole("button", { name: /Show an example/ }));
  await waitFor(() => expect(router.state.location.search).toMatchObject({ tab: "tasks" }));
  const detail = await screen.findByRole("region", { name: "Selected task" });
  expect(detail).toHaveTextContent("Why it failed");
  expect(detail).toHaveTextContent("cannot be read: permission denied.");
});

it("accounts for what was asked of whom", async () => {
  const crawl = (fake: FakeBackend) => {
    fake.seedRun("crawl-site", "https://handbook.example/", 1, 200);
  };
  await openRun(crawl, "?tab=statistics");
  const host = await screen.findByRole("row", { name: /handbook\.example/ });
  expect(host).toHaveTextContent(/× 200/);
  expect(host).toHaveTextContent("910 ms");
});
