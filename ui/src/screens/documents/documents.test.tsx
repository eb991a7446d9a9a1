import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import type { FakeBackend } from "../../backend/fake/engine";
import { folderRun, open } from "../../testing/harness";

const site = (fake: FakeBackend) => {
  fake.seedRun("crawl-site", "https://example.org/docs/", 5, 200, 9);
};
const both = (fake: FakeBackend) => {
  folderRun(200)(fake);
  site(fake);
};
const titles = () => screen.queryAllByTestId("search-result").map((result) => result.textContent);

it("tells an empty collection from a search without results", async () => {
  const { user } = await open({ at: "/documents" });
  expect(await screen.findByText("No documents yet")).toBeVisible();
  expect(screen.getByRole("link", { name: "Collect the first ones" })).toBeVisible();
  await user.type(screen.getByRole("searchbox", { name: "Search documents" }), "solar");
  expect(await screen.findByText("Nothing matches")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Clear search and filters" }));
  expect(await screen.findByText("No documents yet")).toBeVisible();
});

it("says what is wrong with a search that cannot be understood", async () => {
  const { user } = await open({ at: "/documents", seed: both });
  const box = await screen.findByRole("searchbox", { name: "Search documents" });
  await user.type(box, '"solar panel');
  expect(await screen.findByText("This search cannot be understood")).toBeVisible();
  expect(screen.getByText(/The quotation mark at character 1 is never closed/)).toBeVisible();
  expect(box).toBeInvalid();
  await user.type(box, '"');
  await waitFor(() => expect(titles()).not.toHaveLength(0));
  expect(box).toBeValid();
});

it("narrows by tag, source and site, and widens again", async () => {
  const { user, router } = await open({ at: "/documents", seed: both });
  await waitFor(() => expect(titles()).not.toHaveLength(0));
  await user.click(screen.getByRole("button", { name: /^Filter/ }));
  await user.click(await screen.findByRole("checkbox", { name: /^storage/ }));
  await waitFor(() => expect(titles()).toHaveLength(2));
  await user.click(screen.getByRole("checkbox", { name: /^File/ }));
  await waitFor(() => expect(titles()).toHaveLength(1));
  await user.keyboard("{Escape}");
  await user.click(screen.getByRole("button", { name: "Remove filter File" }));
  await waitFor(() => expect(titles()).toHaveLength(2));
  await user.click(screen.getByRole("button", { name: /^Filter/ }));
  await user.click(await screen.findByRole("checkbox", { name: /^example\.org/ }));
  await waitFor(() => expect(router.state.location.search).toMatchObject({ q: "site:example.org" }));
  await waitFor(() => expect(titles()).toHaveLength(1));
});

it("is moved through by j, k and arrows, and opens with Enter", async () => {
  const { user } = await open({ at: "/documents?q=energy OR grid OR wakes", seed: both });
  await waitFor(() => expect(titles().length).toBeGreaterThan(2));
  const results = screen.getAllByTestId("search-result");
  await user.keyboard("j");
  await waitFor(() => expect(results[0]).toHaveFocus());
  await user.keyboard("j");
  await waitFor(() => expect(results[1]).toHaveFocus());
  await user.keyboard("{ArrowDown}");
  await waitFor(() => expect(results[2]).toHaveFocus());
  await user.keyboard("k");
  await waitFor(() => expect(results[1]).toHaveFocus());
  await user.keyboard("{Enter}");
  expect(await screen.findByTestId("reading-pane")).toBeVisible();
  expect(results[1]).toHaveAttribute("aria-current", "true");
});

it("reaches the results from the box", async () => {
  const { user } = await open({ at: "/documents", seed: both });
  await waitFor(() => expect(titles()).not.toHaveLength(0));
  await user.click(screen.getByRole("searchbox", { name: "Search documents" }));
  await user.keyboard("{ArrowDown}");
  await waitFor(() => expect(screen.getAllByTestId("search-result")[0]).toHaveFocus());
});

async function read(seed: (fake: FakeBackend) => void) {
  const window = await open({ at: "/documents?q=title:panels", seed });
  await waitFor(() => expect(titles()).toHaveLength(1));
  await window.user.click(screen.getByTestId("search-result"));
  const pane = await screen.findByTestId("reading-pane");
  await within(pane).findByRole("heading", { name: "How solar panels age" });
  return { ...window, pane };
}

it("reads a document with its source, tags, details and outline", async () => {
  const { fake, user, pane } = await read(folderRun(200));
  expect(within(pane).getAllByRole("heading", { name: "How solar panels age" })).toHaveLength(1);
  expect(within(pane).getByText("/home/you/docs/solar-panels.md")).toBeVisible();
  expect(within(pane).getByText("R. Example")).toBeInTheDocument();
  const outline = within(pane).getByRole("navigation", { name: "On this page" });
  expect(
    within(outline)
      .getAllByRole("button")
      .map((entry) => entry.textContent),
  ).toEqual(["What the field data say", "Causes", "Moisture", "Recomputing the loss"]);
  await user.click(within(pane).getByRole("button", { name: "Show in folder" }));
  await waitFor(() => expect(fake.opened).toHaveLength(1));
});

it("opens the page of a document from the web", async () => {
  const { fake, user, pane } = await read(site);
  await user.click(within(pane).getByRole("button", { name: "Open web page" }));
  await waitFor(() => expect(fake.opened).toHaveLength(1));
});

describe("a link in a document", () => {
  const guide = "https://example.org/docs/measuring";
  const follow = async (seed: (fake: FakeBackend) => void, name: string) => {
    const window = await read(seed);
    await window.user.click(within(window.pane).getByRole("link", { name }));
    return window;
  };
  const asked = () => screen.findByRole("dialog", { name: "This link leads out of your collection" });

  it("opens the collected document that it leads to", async () => {
    const { fake } = await follow(site, "turbines");
    expect(await screen.findByRole("heading", { name: "Wind farms and their wakes" })).toBeVisible();
    expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
    expect(fake.opened).toEqual([]);
  });

  it("goes nowhere by itself: it shows the whole address first", async () => {
    const before = window.location.href;
    const { fake, router } = await follow(folderRun(200), "measuring guide");
    const address = within(await asked()).getByTestId("link-address");
    expect(address).toHaveTextContent(guide);
    expect(within(address).getByText("example.org").tagName).toBe("B");
    expect(window.location.href).toBe(before);
    expect(router.state.location.pathname).toBe("/documents");
    expect(fake.opened).toEqual([]);
  });

  it("opens in the browser with Enter", async () => {
    const { fake, user } = await follow(folderRun(200), "measuring guide");
    const open = within(await asked()).getByRole("button", { name: "Open in browser" });
    await waitFor(() => expect(open).toHaveFocus());
    await user.keyboard("{Enter}");
    await waitFor(() => expect(fake.opened).toEqual([guide]));
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
  });

  it.each(["Escape", "Cancel"])("stays with %s, and the document too", async (how) => {
    const { fake, user, pane } = await follow(folderRun(200), "measuring guide");
    const dialog = await asked();
    if (how === "Escape") await user.keyboard("{Escape}");
    else await user.click(within(dialog).getByText("Cancel"));
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    expect(within(pane).getByRole("heading", { name: "How solar panels age" })).toBeVisible();
    expect(fake.opened).toEqual([]);
  });

  it("copies its address", async () => {
    const { user } = await follow(folderRun(200), "measuring guide");
    await user.click(within(await asked()).getByRole("button", { name: "Copy address" }));
    expect(await navigator.clipboard.readText()).toBe(guide);
  });

  it("says why the browser does not open, and can try again", async () => {
    const { fake, user } = await follow(folderRun(200), "measuring guide");
    fake.fail("openLink", { code: "internal", message: "No browser was found." });
    const dialog = await asked();
    const open = within(dialog).getByRole("button", { name: "Open in browser" });
    await user.click(open);
    expect(await within(dialog).findByText(/No browser was found\./)).toBeVisible();
    fake.fail("openLink", null);
    await user.click(open);
    await waitFor(() => expect(fake.opened).toEqual([guide]));
  });
});

it("says when a document has gone", async () => {
  const { user } = await open({ at: "/documents?doc=999", seed: both });
  expect(await screen.findByText("This document does not exist any more.")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Back to results" }));
  await waitFor(() => expect(screen.queryByTestId("reading-pane")).not.toBeInTheDocument());
});

it("shows first results as they come, and later ones on request", async () => {
  const { fake, advance } = await open({ at: "/documents" });
  await screen.findByText("No documents yet");
  await fake.runDefinition({
    request_id: "1",
    definition_id: "index-folder",
    set: [["folder", "/docs"]],
    anyway: false,
  });
  await advance(3);
  await waitFor(() => expect(titles()).not.toHaveLength(0));
  const before = titles().length;
  await advance(1);
  expect(titles()).toHaveLength(before);
  expect(await screen.findByRole("button", { name: "Show 4 new documents" })).toBeVisible();
});

it("says since when a source is gone", async () => {
  const { pane } = await read((fake) => {
    folderRun(200)(fake);
    fake.loseSources();
  });
  expect(within(pane).getByTestId("gone")).toHaveTextContent("Its source was found gone");
});

it("leads from a document to those that its figures were taken from", async () => {
  const seed = folderRun(200);
  const { user, router } = await open({
    at: "/documents",
    seed: (fake) => {
      seed(fake);
      fake.metadata = { built_from: ["7", "9"] };
    },
  });
  await user.click((await screen.findAllByTestId("search-result"))[0] as HTMLElement);
  await user.click(await screen.findByText(/^Fetched/, { selector: "summary" }));
  await user.click(screen.getByRole("link", { name: "document 9" }));
  await waitFor(() => expect(router.state.location.search).toMatchObject({ doc: "9" }));
});
