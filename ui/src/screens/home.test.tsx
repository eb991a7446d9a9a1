import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { folderRun, open } from "../testing/harness";

describe("the first run", () => {
  it("leads from a folder to a document that can be read", async () => {
    const { user, advance } = await open();
    expect(await screen.findByRole("heading", { name: "Research you can check" })).toBeVisible();
    expect(screen.queryByText("Recent runs")).not.toBeInTheDocument();

    await user.type(await screen.findByRole("textbox", { name: "Folder" }), "/home/you/docs");
    await user.click(screen.getByRole("button", { name: "Index folder" }));

    const status = await screen.findByTestId("run-status");
    expect(status).toHaveAttribute("data-status", "running");
    await advance(3);
    expect(await screen.findByRole("treeitem", { name: /solar-panels\.md/ })).toBeVisible();
    await advance(20);
    await waitFor(() => expect(screen.getByTestId("run-status")).toHaveAttribute("data-status", "completed"));
    expect(screen.getByTestId("announcer")).toHaveTextContent("Index a folder: completed.");

    await user.click(screen.getByRole("link", { name: "Documents" }));
    await user.type(await screen.findByRole("searchbox", { name: "Search documents" }), "glass back");
    await waitFor(() => expect(screen.getAllByTestId("search-result")).toHaveLength(1));
    const [result] = screen.getAllByTestId("search-result");
    expect(within(result as HTMLElement).getByText("glass").tagName).toBe("MARK");
    await user.click(result as HTMLElement);

    const pane = await screen.findByTestId("reading-pane");
    expect(await within(pane).findByRole("heading", { name: "How solar panels age" })).toBeVisible();
    expect(pane).toHaveTextContent("A glass back keeps moisture out better than a polymer sheet");
  });

  it("fills the folder in from the chooser", async () => {
    const { fake, user } = await open();
    fake.folderToChoose = "/srv/papers";
    await user.click(await screen.findByRole("button", { name: "Choose…" }));
    await waitFor(() => expect(screen.getByRole("textbox", { name: "Folder" })).toHaveValue("/srv/papers"));
  });

  it("starts one run however often one presses", async () => {
    const { fake, user } = await open();
    await user.type(await screen.findByRole("textbox", { name: "Folder" }), "/home/you/docs");
    await user.dblClick(screen.getByRole("button", { name: "Index folder" }));
    await screen.findByTestId("run-status");
    expect(await fake.listRuns(null, 10)).toHaveLength(1);
  });

  it.each([
    ["Index folder", "Folder", "", "Choose a folder, or type its full path."],
    ["Index folder", "Folder", "docs", "docs is not a full path. Begin with /, or choose the folder."],
    ["Crawl site", "Address", "", "Type the address of the page to start from."],
    [
      "Crawl site",
      "Address",
      "ftp://example.org",
      "This is not a web address. It looks like https://example.org/docs/.",
    ],
    [
      "Crawl site",
      "Address",
      "not an address",
      "This is not a web address. It looks like https://example.org/docs/.",
    ],
  ])("%s refuses %s “%s” at its field", async (button, field, value, complaint) => {
    const { fake, user } = await open();
    const input = await screen.findByRole("textbox", { name: field });
    if (value) await user.type(input, value);
    await user.click(screen.getByRole("button", { name: button }));
    expect(await screen.findByText(complaint)).toBeVisible();
    expect(input).toBeInvalid();
    expect(input).toHaveAccessibleDescription(complaint);
    expect(await fake.listRuns(null, 10)).toHaveLength(0);
  });

  it("completes an address that lacks https://", async () => {
    const { fake, user } = await open();
    await user.type(await screen.findByRole("textbox", { name: "Address" }), "example.org/docs/{Enter}");
    await screen.findByTestId("run-status");
    const [run] = await fake.listRuns(null, 1);
    expect((await fake.getRun(run?.id ?? "")).variables).toEqual([
      ["start_url", "https://example.org/docs/"],
    ]);
  });

  it("does not offer what the installed definitions cannot do", async () => {
    await open({ seed: (fake) => fake.definitions.splice(1) });
    expect(await screen.findByRole("textbox", { name: "Folder" })).toBeVisible();
    expect(screen.queryByRole("textbox", { name: "Address" })).not.toBeInTheDocument();
  });
});

it("shows recent runs and a quick search once there is something", async () => {
  const { user, router } = await open({ seed: folderRun(200) });
  expect(await screen.findByRole("heading", { name: "Recent runs" })).toBeVisible();
  await user.type(
    await screen.findByRole("searchbox", { name: "Search what you have collected" }),
    "wakes{Enter}",
  );
  await waitFor(() => expect(router.state.location.search).toMatchObject({ q: "wakes" }));
  expect(await screen.findByRole("button", { name: /Wind farms and their wakes/ })).toBeVisible();
});
