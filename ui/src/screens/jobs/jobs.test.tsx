// What can be done with definitions: let them run by themselves, copy, delete, bring back, compare.

import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { open } from "../../testing/harness";

const at = "/jobs/morning-papers";

it("says when a job runs by itself, and what became of the last time", async () => {
  await open({ at });
  const detail = await screen.findByRole("region", { name: "Morning papers" });
  expect(await within(detail).findByText("At 07:00 every day, Sydney time")).toBeVisible();
  expect(within(detail).getByRole("list")).toHaveTextContent(/^(today|tomorrow) /);
  expect(within(within(detail).getByRole("list")).getAllByRole("listitem")).toHaveLength(5);
  expect(detail).toHaveTextContent("2 times passed while Quaero was closed; one run made up for them.");
  expect(detail).toHaveTextContent("14 runs started, 3 times left out while one was open");
});

it("lets a job of the user's run by itself or not", async () => {
  const { fake, user } = await open({ at: "/jobs/handbook-changes" });
  const toggle = await screen.findByRole("switch", { name: "Run by itself" });
  expect(toggle).not.toBeChecked();
  await user.click(toggle);
  await waitFor(() => expect(toggle).toBeChecked());
  expect((await fake.getDefinition("handbook-changes")).text).toContain("enabled = true");
  expect(await screen.findByRole("switch", { name: "Let “Handbook changes” run by itself" })).toBeChecked();
});

it("keeps the switch as it was when it could not be moved, and says why", async () => {
  const { fake, user } = await open({ at: "/jobs/handbook-changes" });
  fake.fail("setEnabled", { code: "storage", message: "The disk is full." });
  const toggle = await screen.findByRole("switch", { name: "Run by itself" });
  await user.click(toggle);
  expect(await screen.findByText(/The disk is full\./)).toBeVisible();
  await waitFor(() => expect(toggle).not.toBeChecked());
});

it("copies a job that comes with Quaero, to be changed", async () => {
  const { fake, user, router } = await open({ at: "/jobs/crawl-site" });
  expect(await screen.findByText("Comes with Quaero")).toBeVisible();
  expect(screen.queryByRole("switch", { name: "Run by itself" })).not.toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Copy to edit…" }));
  const dialog = await screen.findByRole("dialog", { name: "Copy “Crawl a site”" });
  const id = within(dialog).getByRole("textbox", { name: "Id of the copy" });
  expect(id).toHaveValue("crawl-site-2");
  await user.clear(id);
  await user.type(id, "energy-news");
  await user.click(within(dialog).getByRole("button", { name: "Copy" }));
  expect(await within(dialog).findByText(/There is a definition energy-news already/)).toBeVisible();
  await user.clear(id);
  await user.type(id, "my-site{Enter}");
  await waitFor(() => expect(router.state.location.pathname).toBe("/jobs/my-site"));
  expect((await fake.getDefinition("my-site")).summary.origin).toBe("user");
});

async function remove(user: Awaited<ReturnType<typeof open>>["user"]) {
  await user.click(await screen.findByRole("button", { name: "More actions" }));
  await user.click(await screen.findByRole("menuitem", { name: "Delete" }));
  await screen.findByText("“Morning papers” was deleted");
}

it("deletes a job to the trash, and undoes it", async () => {
  const { fake, user, router } = await open({ at });
  await remove(user);
  expect(fake.definitions.some(({ summary }) => summary.id === "morning-papers")).toBe(false);
  await user.click(screen.getByRole("button", { name: "Undo" }));
  await waitFor(() => expect(router.state.location.pathname).toBe(at));
  expect(await screen.findByRole("region", { name: "Morning papers" })).toBeVisible();
  expect(screen.queryByText("“Morning papers” was deleted")).not.toBeInTheDocument();
});

it("brings a job back from the trash later", async () => {
  const { user, router } = await open({ at });
  await remove(user);
  await user.click(screen.getByRole("button", { name: "Dismiss" }));
  await user.click(await screen.findByRole("button", { name: "Deleted jobs…" }));
  await user.click(await screen.findByRole("button", { name: "Put morning-papers.toml back" }));
  await waitFor(() => expect(router.state.location.pathname).toBe(at));
});

it("exports a job, and says nothing when no file was chosen", async () => {
  const { fake, user } = await open({ at });
  const start = async () => {
    await user.click(await screen.findByRole("button", { name: "More actions" }));
    await user.click(await screen.findByRole("menuitem", { name: "Export…" }));
  };
  fake.picksFile = false;
  await start();
  expect(screen.queryByText("Exported")).not.toBeInTheDocument();
  fake.picksFile = true;
  await start();
  expect(await screen.findByText("Written to /home/you/Desktop/morning-papers.toml.")).toBeVisible();
});

it("imports a job, says what it would use, and takes another id when its own is taken", async () => {
  const { user, router } = await open({ at: "/jobs" });
  await user.click(await screen.findByRole("button", { name: "Import…" }));
  expect(await screen.findByText("“Library news” was imported")).toBeVisible();
  expect(screen.getByText(/your sign-in library-card and the private host archive\.local/)).toBeVisible();
  expect(router.state.location.pathname).toBe("/jobs/library-news");

  await user.click(screen.getByRole("button", { name: "Import…" }));
  const dialog = await screen.findByRole("dialog", { name: "Import under another id" });
  expect(dialog).toHaveTextContent("There is a definition library-news already.");
  await user.type(within(dialog).getByRole("textbox", { name: "New id" }), "library-two{Enter}");
  await waitFor(() => expect(router.state.location.pathname).toBe("/jobs/library-two"));
});

it("shows the past of a job, compares any two texts, and puts one back", async () => {
  const { fake, user } = await open({
    at: `${at}?view=history`,
    seed: (fake) => {
      const { text } = fake.library.get("morning-papers");
      fake.library.write("morning-papers", text.replace("= 40", "= 50"), "saved");
      fake.library.write("morning-papers", text.replace("= 40", "= 60"));
    },
  });
  const list = await screen.findByRole("list", { name: "Versions" });
  expect(
    within(list)
      .getAllByRole("listitem")
      .map((row) => row.textContent),
  ).toEqual([
    expect.stringMatching(/^Version 3.* · changed outside$/),
    expect.stringMatching(/^Version 2.* · saved/),
    expect.stringMatching(/^Version 1/),
  ]);
  const shows = async (before: number, after: number) =>
    waitFor(() =>
      expect(screen.getByRole("region", { name: "Differences" })).toHaveTextContent(
        new RegExp(`removed: max_pages = ${before}.*added: max_pages = ${after}`),
      ),
    );
  await shows(50, 60);
  await user.click(screen.getByRole("button", { name: "Compare version 1 with now" }));
  await shows(40, 60);
  await user.selectOptions(screen.getByRole("combobox", { name: "To" }), "2");
  await shows(40, 50);

  await user.click(screen.getByRole("button", { name: "Restore version 1…" }));
  const dialog = await screen.findByRole("dialog", { name: "Restore version 1?" });
  await user.click(within(dialog).getByRole("button", { name: "Restore" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
  expect((await fake.getDefinition("morning-papers")).text).toContain("max_pages = 40");
  expect(await screen.findByText(/put back/)).toBeVisible();
});

it("follows a definition that changes on disk", async () => {
  const { fake } = await open({ at });
  const source = await screen.findByRole("region", { name: "Definition: Morning papers" });
  const { text } = fake.library.get("morning-papers");
  fake.library.write("morning-papers", text.replace("= 40", "= 77"));
  await waitFor(() => expect(source).toHaveTextContent("max_pages = 77"));
});

it("says on the first screen what comes up, soonest first", async () => {
  const { user, router } = await open();
  const heading = await screen.findByRole("heading", { name: "Coming up" });
  const section = heading.parentElement as HTMLElement;
  // What is not enabled does not come up.
  const [line, ...others] = within(section).getAllByRole("link");
  expect(others).toHaveLength(0);
  expect(line).toHaveTextContent(/Morning papers.*At 07:00 every day, Sydney time/);
  await user.click(line as HTMLElement);
  await waitFor(() => expect(router.state.location.pathname).toBe(at));
});
