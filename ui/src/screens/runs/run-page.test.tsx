import { act, screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { folderRun, openRun } from "../../testing/harness";

it("cancels a run and everything below it", async () => {
  const { user, status } = await openRun(folderRun(4));
  expect(status()).toBe("running");
  await user.click(screen.getByRole("button", { name: "Cancel run" }));
  await waitFor(() => expect(status()).toBe("cancelled"));
  expect(screen.queryByRole("button", { name: "Cancel run" })).not.toBeInTheDocument();
  expect(await screen.findByRole("treeitem", { name: /archive\/draft-23\.md, cancelled/ })).toBeVisible();
});

it("says why a cancel failed, and can try again", async () => {
  const { fake, user, status } = await openRun(folderRun(4));
  fake.fail("cancelRun", { code: "storage", message: "The disk is full." });
  await user.click(screen.getByRole("button", { name: "Cancel run" }));
  expect(await screen.findByText(/The disk is full\./)).toBeVisible();
  expect(status()).toBe("running");
  fake.fail("cancelRun", null);
  await user.click(screen.getByRole("button", { name: "Cancel run" }));
  await waitFor(() => expect(status()).toBe("cancelled"));
});

it("goes on with a run that was cut off", async () => {
  const { user, status, advance } = await openRun((fake) => {
    fake.seedRun("index-folder", "/home/you/docs", 1, 4, 24, (run) => run.interrupt());
  });
  expect(status()).toBe("interrupted");
  expect(screen.getByText(/Everything finished so far is kept/)).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Resume run" }));
  await waitFor(() => expect(status()).toBe("running"));
  await advance(30);
  await waitFor(() => expect(status()).toBe("completed"));
});

it("says what failed, why, and what to do", async () => {
  const { status } = await openRun((fake) => {
    fake.seedRun("crawl-site", "https://down.example/", 1, 30);
  });
  expect(status()).toBe("failed");
  const alert = screen.getByText("The run failed.").parentElement;
  expect(alert).toHaveTextContent("https://down.example/ does not answer: connection refused.");
  expect(alert).toHaveTextContent("Check the address and your connection, then run the job again.");
});

it("is right again after events were lost", async () => {
  const { fake, status } = await openRun(folderRun(3));
  await act(async () => fake.loseEvents(() => fake.advance(40)));
  expect(status()).toBe("running");
  await act(async () => fake.tell({ kind: "missed" }));
  await waitFor(() => expect(status()).toBe("completed"));
});

it("never shows a finished run as unfinished", async () => {
  const { fake, id, status } = await openRun(folderRun(200));
  const run = (await fake.getRun(id)).summary;
  await act(async () =>
    fake.tell({
      kind: "progress",
      progress: { run: { ...run, status: "running" }, steps: [], tasks_per_minute: null, remaining_ms: null },
    }),
  );
  expect(status()).toBe("completed");
});

it("keeps warnings apart from failure", async () => {
  const { user, status } = await openRun(folderRun(200, 24, "/home/you/flawed"));
  expect(status()).toBe("completed");
  expect(screen.getByText("completed with warnings")).toBeVisible();
  await user.click(screen.getByRole("tab", { name: /Warnings/ }));
  expect(await screen.findAllByText(/cannot be read: permission denied/)).not.toHaveLength(0);
});

it("lists the documents that it wrote, and leads to them", async () => {
  const { user, router, id } = await openRun(folderRun(200), "?tab=documents");
  await user.click(await screen.findByRole("link", { name: /How solar panels age/ }));
  await waitFor(() => expect(router.state.location.search).toMatchObject({ run: id }));
  expect(await screen.findByTestId("reading-pane")).toBeVisible();
});

it("tells a second run that changed nothing from one that found nothing", async () => {
  await openRun((fake) => {
    folderRun(200)(fake);
    folderRun(200)(fake);
  }, "?tab=documents");
  expect(await screen.findByText("Nothing has changed")).toBeVisible();
  expect(screen.getByText("24 documents seen again with the same content")).toBeVisible();
});

it("shows the definition as it ran, with its values", async () => {
  await openRun(folderRun(200), "?tab=definition");
  const definition = await screen.findByRole("tabpanel", { name: "Definition" });
  expect(within(definition).getByText("/home/you/docs")).toBeVisible();
  expect(screen.getByRole("region", { name: "Definition" })).toHaveTextContent('type = "local_dir"');
});
