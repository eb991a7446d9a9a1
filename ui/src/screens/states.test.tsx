// What every place shows when it is empty, when it fails, and when it is not there.

import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import type { Method } from "../backend/fake/engine";
import type { ApiError } from "../backend/types";
import { folderRun, open } from "../testing/harness";

it.each<[string, Method, string | RegExp]>([
  ["/", "listRuns", "Recent runs"],
  ["/jobs", "listDefinitions", "Index a folder"],
  ["/jobs/index-folder", "getDefinition", "Comes with Quaero"],
  ["/runs", "listRuns", "completed"],
  ["/runs/101", "getRun", "Definition"],
  ["/documents", "searchDocuments", /documents, newest first/],
  ["/settings", "appInfo", "3.51.3"],
])("%s says that %s failed, and recovers", async (at, method, then) => {
  const message = "The database could not be read: disk I/O error.";
  const { fake, user } = await open({
    at,
    seed: (fake) => {
      folderRun(200)(fake);
      fake.fail(method, { code: "storage", message });
    },
  });
  const alert = await screen.findByRole("alert");
  expect(alert).toHaveTextContent("The disk cannot be used");
  expect(alert).toHaveTextContent(message);
  expect(alert).toHaveTextContent("Check that the disk has room");
  expect(within(alert).getByRole("button", { name: "Copy details" })).toBeVisible();
  fake.fail(method, null);
  await user.click(within(alert).getByRole("button", { name: "Try again" }));
  expect((await screen.findAllByText(then))[0]).toBeVisible();
  expect(screen.queryByRole("alert")).not.toBeInTheDocument();
});

it.each<[string, Method]>([
  ["/", "listRuns"],
  ["/jobs", "listDefinitions"],
  ["/jobs/index-folder", "getDefinition"],
  ["/runs", "listRuns"],
  ["/runs/101", "getRun"],
  ["/documents", "searchDocuments"],
])("%s holds its place while %s takes long", async (at, method) => {
  await open({ at, seed: (fake) => fake.hang(method) });
  await waitFor(() => expect(screen.getAllByRole("status", { name: "Loading" })[0]).toBeVisible());
});

it.each([
  ["/runs", "Nothing has run yet"],
  ["/documents", "No documents yet"],
  ["/nowhere", "There is nothing here"],
])("%s says: %s", async (at, sentence) => {
  await open({ at });
  expect((await screen.findAllByText(sentence))[0]).toBeVisible();
});

it("says where a definition belongs when there is none", async () => {
  await open({ at: "/jobs", seed: (fake) => fake.definitions.splice(0) });
  expect(await screen.findByText("No job definitions yet")).toBeVisible();
  expect(
    await screen.findByText(/Put one into \/home\/you\/.local\/share\/quaero\/job-definitions/),
  ).toBeVisible();
});

it("tells no runs from no runs of this status", async () => {
  const { user } = await open({ at: "/runs", seed: folderRun(200) });
  await user.click(await screen.findByRole("radio", { name: "Failed" }));
  expect(await screen.findByText("No failed runs among those loaded")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Show all runs" }));
  expect(await screen.findByRole("link", { name: "Index a folder /home/you/docs" })).toBeVisible();
});

it("shows nothing but the reason when the data cannot be used at all", async () => {
  await open({
    seed: (fake) => {
      fake.broken = {
        code: "busy",
        message: "Another Quaero (process 4711) uses this folder.",
        hint: null,
        where: null,
      };
    },
  });
  expect(await screen.findByText("Another Quaero (process 4711) uses this folder.")).toBeVisible();
  expect(screen.queryByRole("navigation")).not.toBeInTheDocument();
});

it("shows a definition's problems at their places, and does not run it", async () => {
  await open({ at: "/jobs/energy-news" });
  const source = await screen.findByRole("region", { name: "Definition: Energy news" });
  expect(source).toHaveTextContent("There is no step `fetched`. Did you mean `fetch`?");
  expect(within(source).getByText('"fetched"')).toHaveClass("underline");
  expect(screen.getByRole("button", { name: "Run…" })).toBeDisabled();
  expect(screen.getByText("1 problem, 1 warning")).toBeVisible();
});

it("asks for a job's values and runs it with those that differ", async () => {
  const { fake, user } = await open({ at: "/jobs/crawl-site" });
  await user.click(await screen.findByRole("button", { name: "Run…" }));
  const dialog = await screen.findByRole("dialog", { name: "Run “Crawl a site”" });
  const address = within(dialog).getByRole("textbox", { name: "Start url" });
  await waitFor(() => expect(address).toHaveFocus());
  await user.click(within(dialog).getByRole("button", { name: "Run" }));
  expect(within(dialog).getByText("Fill this in.")).toBeVisible();
  await user.type(address, "https://example.org/");
  const pages = within(dialog).getByRole("textbox", { name: "Max pages" });
  await user.clear(pages);
  await user.type(pages, "many{Enter}");
  expect(await within(dialog).findByText("This is not a number.")).toBeVisible();
  await user.clear(pages);
  await user.type(pages, "20");
  await user.click(within(dialog).getByRole("switch", { name: "Follow links" }));
  await user.click(within(dialog).getByRole("button", { name: "Run" }));
  expect(await screen.findByTestId("run-status")).toBeVisible();
  const [run] = await fake.listRuns(null, 1);
  expect((await fake.getRun(run?.id ?? "")).variables).toEqual([
    ["start_url", "https://example.org/"],
    ["max_pages", "20"],
    ["follow_links", "false"],
  ]);
});

it("says wherever runs are listed what each one works on", async () => {
  const folder = "/home/you/Documents/energy";
  const { user, router } = await open({ seed: folderRun(200, 24, folder) });
  const line = await screen.findByRole("link", { name: new RegExp(`Index a folder.*${folder}`) });
  expect(within(line).getByTitle(folder)).toBeVisible();

  await user.click(screen.getByRole("link", { name: "Runs" }));
  expect(await screen.findByRole("link", { name: `Index a folder ${folder}` })).toHaveAttribute(
    "title",
    folder,
  );

  await user.keyboard("{Control>}k{/Control}");
  await user.keyboard("documents/energy");
  const option = await screen.findByRole("option", { name: new RegExp(folder) });
  await user.click(option);
  await screen.findByTestId("run-status");
  expect(router.state.location.pathname).toMatch(/^\/runs\/\d+$/);
  expect(screen.getByRole("banner")).toHaveTextContent(`Index a folder${folder}`);
});

it("says above every screen why work waits for the disk, and that it goes on", async () => {
  const full: ApiError = { code: "storage", message: "The disk is full.", hint: "Make room.", where: null };
  const { fake } = await open({ at: "/runs", seed: (fake) => fake.tell({ kind: "waits", error: full }) });
  expect(await screen.findByRole("alert")).toHaveTextContent("Work waits. The disk is full. Make room.");
  fake.tell({ kind: "waits", error: null });
  await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
  fake.tell({ kind: "waits", error: full });
  expect(await screen.findByRole("alert")).toBeVisible();
});
