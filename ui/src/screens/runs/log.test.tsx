import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { FakeBackend } from "../../backend/fake/engine";
import type { LogLine } from "../../backend/types";
import { folderRun, openRun } from "../../testing/harness";
import { LogModel } from "./log-model";

async function logOf(seed: Parameters<typeof openRun>[0]) {
  const window = await openRun(seed, "?tab=log");
  const log = await screen.findByRole("log", { name: "Log of this run" });
  return { ...window, log };
}

/** As if the lines above and below the window were `above` and `below` pixels. */
function scrollTo(log: HTMLElement, top: number, height: number) {
  Object.defineProperty(log, "scrollHeight", { configurable: true, value: height });
  log.scrollTop = top;
  fireEvent.scroll(log);
}

it("follows until one scrolls up, then counts what is new, and follows again at the end", async () => {
  const { log, advance, user } = await logOf(folderRun(6, 100));
  const follow = () => screen.getByRole("button", { name: /Follow/ });
  expect(follow()).toHaveAttribute("aria-pressed", "true");
  scrollTo(log, 1400, 2000);
  scrollTo(log, 900, 2000);
  expect(follow()).toHaveAttribute("aria-pressed", "false");
  await advance(2);
  expect(log.scrollTop).toBe(900);
  expect(await screen.findByText("8 new lines")).toBeVisible();
  scrollTo(log, 1400, 2000);
  expect(follow()).toHaveAttribute("aria-pressed", "true");
  await user.click(follow());
  expect(follow()).toHaveAttribute("aria-pressed", "false");
});

it("shows lines from a level up, and those that hold a text", async () => {
  const { user, log } = await logOf(folderRun(200, 40, "/home/you/flawed"));
  expect(log).toHaveTextContent("run completed");
  await user.selectOptions(screen.getByRole("combobox", { name: "Level" }), "warn");
  expect(await screen.findByText("4 lines")).toBeVisible();
  await user.type(screen.getByRole("searchbox", { name: "Filter lines" }), "nothing like it");
  expect(await screen.findByText("No line matches")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Clear the filter" }));
  expect(await screen.findByText("4 lines")).toBeVisible();
});

it("says when nothing has been logged at this level", async () => {
  const { user } = await logOf(folderRun(200, 3));
  await user.selectOptions(screen.getByRole("combobox", { name: "Level" }), "error");
  expect(await screen.findByText("Nothing has been logged yet")).toBeVisible();
});

it("offers to read again when the log could not be read", async () => {
  const { fake, user } = await openRun((fake) => {
    folderRun(200, 3)(fake);
    fake.fail("readLog", { code: "storage", message: "The log is gone." });
  }, "?tab=log");
  expect(await screen.findByText("The log is gone.")).toBeVisible();
  fake.fail("readLog", null);
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("run completed")).toBeVisible();
});

it("has every line once, in order, whatever events were lost", async () => {
  const fake = new FakeBackend();
  const run = fake.seedRun("index-folder", "/docs", 1, 2, 300);
  const model = new LogModel(fake, run.id, null, "debug");
  const stop = model.start();
  await waitFor(() => expect(model.loading).toBe(false));
  await act(async () => {
    fake.advance(3);
    fake.loseEvents(() => fake.advance(5));
    fake.advance(3);
    fake.tell({ kind: "missed" });
  });
  await model.catchUp();
  const all = await fake.readLog({ run: run.id, job: null, min_level: "debug", after: null, limit: 5_000 });
  const seqs = (lines: LogLine[]) => lines.map((line) => line.seq);
  expect(seqs(model.lines)).toEqual(seqs(all.lines));
  stop();
});
