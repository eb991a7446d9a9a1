// Doing a run's work again, in whole and in part.

import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { folderRun, openRun } from "../../testing/harness";

type Window = Awaited<ReturnType<typeof openRun>>;

async function choose({ user }: Window, ...items: string[]): Promise<void> {
  await user.click(await screen.findByRole("button", { name: "Run again" }));
  for (const item of items) {
    await screen.findByRole("menuitem", { name: item });
    await user.keyboard(item);
    await user.keyboard(item === "From step" ? "{ArrowRight}" : "{Enter}");
  }
}

/** The newest run, once it is another than the one that was open. */
async function next({ router, fake, id }: Window) {
  await waitFor(() => expect(router.state.location.pathname).not.toBe(`/runs/${id}`));
  const [run] = await fake.listRuns(null, 1);
  return fake.getRun(run?.id ?? "");
}

const flawed = folderRun(200, 24, "/home/you/flawed");

it.each<[string, string[], (string | null)[]]>([
  ["everything", ["Everything"], [null, null]],
  ["only what failed", ["Only what failed"], [null, "it"]],
  ["from a step", ["From step", "index"], ["it", null]],
])("runs %s again and shows the new run", async (_, items, reused) => {
  const window = await openRun(flawed);
  await choose(window, ...items);
  const run = await next(window);
  expect(run.summary).toMatchObject({ started_by: "rerun", rerun_of: window.id });
  expect(run.given).toEqual([["folder", "/home/you/flawed"]]);
  expect(run.steps.map((step) => step.reused_from)).toEqual(reused.map((one) => one && window.id));
  expect(await screen.findByRole("link", { name: `run ${window.id}` })).toBeVisible();
});

it("offers what failed only where something failed", async () => {
  const window = await openRun(folderRun(200));
  await window.user.click(await screen.findByRole("button", { name: "Run again" }));
  expect(await screen.findByRole("menuitem", { name: "Only what failed" })).toHaveAttribute(
    "aria-disabled",
    "true",
  );
});

it("runs again with other values, and sends those that differ", async () => {
  const window = await openRun(folderRun(200));
  await choose(window, "With other values…");
  const dialog = await screen.findByRole("dialog", { name: "Run “Index a folder” again" });
  const folder = within(dialog).getByRole("textbox", { name: "Folder" });
  expect(folder).toHaveValue("/home/you/docs");
  await window.user.clear(folder);
  await window.user.type(folder, "/srv/papers");
  await window.user.click(within(dialog).getByRole("button", { name: "Run" }));
  expect((await next(window)).given).toEqual([["folder", "/srv/papers"]]);
});

it("asks whether to use the definition as it is now only when it has changed", async () => {
  const window = await openRun(folderRun(200));
  await window.user.click(await screen.findByRole("button", { name: "Run again" }));
  await screen.findByRole("menuitem", { name: "Everything" });
  expect(screen.queryByRole("menuitemcheckbox")).not.toBeInTheDocument();

  const text = window.fake.library.get("index-folder").text.replace('tag = "folder"', 'tag = "papers"');
  window.fake.library.write("index-folder", text);
  const check = await screen.findByRole("menuitemcheckbox", { name: /as it is now/ });
  await window.user.click(check);
  expect(check).toBeChecked();
  await window.user.click(screen.getByRole("menuitem", { name: "Everything" }));
  expect((await next(window)).definition_text).toBe(text);
});

it("says why it cannot be run again, and starts one run when it can", async () => {
  const window = await openRun(folderRun(200));
  window.fake.fail("rerun", { code: "storage", message: "The disk is full." });
  await choose(window, "Everything");
  expect(await screen.findByText("The disk is full.")).toBeVisible();
  window.fake.fail("rerun", null);
  await window.user.click(screen.getByRole("button", { name: "Try again" }));
  await next(window);
  expect(await window.fake.listRuns(null, 10)).toHaveLength(2);
});

it("runs again from a chosen step", async () => {
  const window = await openRun(folderRun(200));
  await window.user.click(await screen.findByRole("treeitem", { name: /^index/ }));
  await window.user.click(await screen.findByRole("button", { name: "Run again from here" }));
  expect((await next(window)).steps[0]?.reused_from).toBe(window.id);
});

it("has each way in the palette", async () => {
  const window = await openRun(flawed);
  await window.user.keyboard("{Control>}k{/Control}");
  await window.user.keyboard("run again");
  const names = (await screen.findAllByRole("option")).map((option) => option.textContent?.trim());
  expect(names).toEqual(
    expect.arrayContaining([
      "Run again: everything",
      "Run again: only what failed",
      "Run again: from step read",
      "Run again: from step index",
      "Run again: with other values…",
    ]),
  );
});

it("shows what changed in the definition since the run that it repeats", async () => {
  const window = await openRun((fake) => {
    const earlier = fake.seedRun("morning-papers", "https://example.org/news/", 9, 200, 6);
    const { text } = fake.library.get("morning-papers");
    fake.library.write("morning-papers", text.replace("max_pages = 40", "max_pages = 60"));
    const cause = { started_by: "rerun" as const, rerun_of: earlier.id, parent_run: null };
    fake.seedRun("morning-papers", "https://example.org/news/", 3, 200, 6, () => {}, cause);
  });
  await window.user.click(await screen.findByRole("tab", { name: "Definition" }));
  const earlier = (await window.fake.getRun(window.id)).summary.rerun_of ?? "";
  await window.user.click(await screen.findByRole("button", { name: "What changed in the definition" }));
  expect(screen.getByRole("combobox", { name: "Compare with" })).toHaveValue(earlier);
  const diff = await screen.findByRole("region", { name: "Differences" });
  expect(diff).toHaveTextContent(/removed: max_pages = 40.*added: max_pages = 60/);
  expect(screen.getByText("1 line added, 1 removed")).toBeVisible();
});

const missing = "Step `index`: EODHD needs a key. Set one in the settings, under Services.";

it.each<[string, string[], string | null]>([
  ["everything", ["Everything"], null],
  ["only what failed", ["Only what failed"], "it"],
])("says what is not set up before it runs %s, and then runs that all the same", async (_, items, reused) => {
  const window = await openRun(flawed);
  window.fake.missing = missing;
  await choose(window, ...items);
  expect(await screen.findByRole("alert")).toHaveTextContent(missing);
  expect(await window.fake.listRuns(null, 9)).toHaveLength(1);
  await window.user.click(screen.getByRole("button", { name: "Run anyway" }));
  expect((await next(window)).steps[1]?.reused_from).toEqual(reused && window.id);
});

it("says in the dialog what is not set up, and forgets it when a value changes", async () => {
  const window = await openRun(flawed);
  window.fake.missing = missing;
  await choose(window, "With other values…");
  const dialog = await screen.findByRole("dialog");
  await window.user.click(within(dialog).getByRole("button", { name: "Run" }));
  expect(await within(dialog).findByRole("alert")).toHaveTextContent(missing);
  await window.user.type(within(dialog).getByRole("textbox", { name: "Folder" }), "/more");
  expect(within(dialog).getByRole("button", { name: "Run" })).toBeVisible();
  await window.user.click(within(dialog).getByRole("button", { name: "Run" }));
  await window.user.click(await within(dialog).findByRole("button", { name: "Run anyway" }));
  expect((await next(window)).given).toEqual([["folder", "/home/you/flawed/more"]]);
});

async function close(window: Window, dialog: HTMLElement) {
  const closing = within(dialog).getAllByRole("button", { name: "Close" });
  await window.user.click(closing.at(-1) as HTMLElement);
  await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
}

it("asks anew for other values, whatever was refused before", async () => {
  const window = await openRun(flawed);
  window.fake.missing = missing;
  await choose(window, "Everything");
  const refused = await screen.findByRole("dialog");
  await within(refused).findByRole("button", { name: "Run anyway" });
  expect(within(refused).getByRole("link", { name: "Go to Settings" })).toHaveAttribute("href", "/settings");
  await close(window, refused);
  await choose(window, "With other values…");
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).queryByRole("alert")).not.toBeInTheDocument();
  await window.user.click(within(dialog).getByRole("button", { name: "Run" }));
  await within(dialog).findByRole("button", { name: "Run anyway" });
  await close(window, dialog);
  expect(screen.queryByRole("button", { name: "Run anyway" })).not.toBeInTheDocument();
});
