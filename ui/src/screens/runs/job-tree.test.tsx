import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeBackend } from "../../backend/fake/engine";
import { folderRun, openRun } from "../../testing/harness";
import { PAGE, TreeModel } from "./tree-model";

const rowNames = () => screen.getAllByRole("treeitem").map((row) => row.textContent);

async function treeOf(seed: Parameters<typeof openRun>[0]) {
  const window = await openRun(seed);
  await screen.findByRole("treeitem", { name: /solar-panels\.md/ });
  const tree = screen.getByRole("tree", { name: "Tasks of this run" });
  const active = () => document.getElementById(tree.getAttribute("aria-activedescendant") ?? "")?.textContent;
  return { ...window, tree, active };
}

it("draws few rows of a run of 100,000 tasks", async () => {
  const { user, tree, active } = await treeOf(folderRun(40, 100_000));
  expect(screen.getByRole("tab", { name: /Tasks\s*100,001/ })).toBeVisible();
  expect(screen.getAllByRole("treeitem").length).toBeLessThan(60);
  tree.focus();
  await user.keyboard("{End}");
  expect(active()).toMatch(/^index, waiting to start/);
  expect(screen.getAllByRole("treeitem").length).toBeLessThan(60);
});

it("is moved through by keyboard alone", async () => {
  const { user, tree, active } = await treeOf(folderRun(200, 3));
  await user.click(screen.getByRole("searchbox", { name: "Filter tasks" }));
  await user.tab();
  await user.tab();
  expect(tree).toHaveFocus();
  expect(active()).toMatch(/^read, completed/);
  await user.keyboard("{ArrowRight}");
  expect(active()).toMatch(/^\/home\/you\/docs, completed/);
  await user.keyboard("{ArrowRight}{ArrowDown}");
  expect(active()).toMatch(/wind-farms\.md, completed/);
  await user.keyboard("{ArrowLeft}");
  expect(active()).toMatch(/^\/home\/you\/docs, completed/);
  await user.keyboard("{ArrowLeft}");
  expect(screen.queryByRole("treeitem", { name: /wind-farms/ })).not.toBeInTheDocument();
  await user.keyboard("{ArrowRight}{ArrowRight}{Enter}");
  const detail = await screen.findByRole("region", { name: "Selected task" });
  expect(await within(detail).findByText(/saved \/home\/you\/docs\/solar-panels\.md/)).toBeVisible();
  expect(within(detail).getByRole("link", { name: "Read the document" })).toBeVisible();
});

it("opens what runs by itself and keeps up with it", async () => {
  const { advance } = await treeOf(folderRun(2, 12));
  expect(rowNames().some((name) => name?.startsWith("solar-panels.md, running"))).toBe(true);
  await advance(40);
  await waitFor(() =>
    expect(rowNames().some((name) => name?.startsWith("solar-panels.md, completed"))).toBe(true),
  );
});

it("filters by status and by text, and says when nothing matches", async () => {
  const { user } = await treeOf(folderRun(200, 40, "/home/you/flawed"));
  await user.selectOptions(screen.getByRole("combobox", { name: "Status" }), "failed");
  await waitFor(() => expect(rowNames().every((name) => name?.includes("failed"))).toBe(true));
  expect(screen.getByText("4 match")).toBeVisible();
  await user.type(screen.getByRole("searchbox", { name: "Filter tasks" }), "nowhere");
  expect(await screen.findByText("No task matches")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Clear the filter" }));
  expect(await screen.findByRole("treeitem", { name: /^read/ })).toBeVisible();
});

it("offers to read again what could not be read", async () => {
  const { fake, user } = await openRun((fake) => {
    folderRun(200, 3)(fake);
    fake.fail("listJobs", { code: "storage", message: "The disk is gone." });
  });
  const row = await screen.findByRole("treeitem", { name: /The disk is gone/ });
  fake.fail("listJobs", null);
  await user.click(row);
  expect(await screen.findByRole("treeitem", { name: /^\/home\/you\/docs, completed/ })).toBeVisible();
});

describe("the model", () => {
  const settle = () => new Promise((done) => setTimeout(done));

  it("reads a page at a time and keeps places when it reads again", async () => {
    const fake = new FakeBackend();
    const run = fake.seedRun("index-folder", "/docs", 1, 3, 1_200);
    const [root] = run.children(run.steps[0]?.id ?? "");
    const model = new TreeModel(fake, run.id);
    model.setOpen(root?.id ?? "", true);
    await settle();
    const names = () => run.children(root?.id ?? "").map((job) => model.find(job.id)?.status);
    expect(names().filter(Boolean)).toHaveLength(PAGE);
    await model.loadMore(root?.id ?? "");
    expect(names().filter(Boolean)).toHaveLength(2 * PAGE);
    fake.advance(300);
    const inView = () => model.rows(run.steps).slice(602, 622);
    model.setOpen(run.steps[0]?.id ?? "", true);
    await settle();
    expect(names()[610]).toBe("pending");
    await model.freshen(inView());
    expect(names()[610]).toBe("pending");
    model.touch();
    await model.freshen(inView());
    expect(names()[610]).toBe("completed");
    expect(names()[10]).toBe("pending");
    await model.loadMore(root?.id ?? "");
    expect(names().filter(Boolean)).toHaveLength(1_200);
  });
});
