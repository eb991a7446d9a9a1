import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { folderRun, open } from "../testing/harness";

const at = "/settings";

it("keeps the limits of old runs, and refuses what is no number", async () => {
  const { fake, user } = await open({ at });
  const runs = await screen.findByRole("textbox", { name: "Keep the newest: runs" });
  await user.type(runs, "few");
  expect(await screen.findByText("A whole number from 1, or nothing.")).toBeVisible();
  await user.clear(runs);
  await user.type(runs, "100{Enter}");
  await waitFor(async () =>
    expect(await fake.getSettings()).toMatchObject({ keep_runs: 100, keep_days: null }),
  );
  await user.clear(runs);
  await user.tab();
  await waitFor(async () => expect(await fake.getSettings()).toMatchObject({ keep_runs: null }));
});

it("forgets old runs after saying what goes and what stays", async () => {
  const { fake, user } = await open({
    at,
    seed: (fake) => {
      for (let n = 0; n < 3; n += 1) folderRun(200)(fake);
    },
  });
  expect(await screen.findByRole("button", { name: "Forget old runs now…" })).toBeDisabled();
  await user.type(await screen.findByRole("textbox", { name: "Keep the newest: runs" }), "1{Enter}");
  await user.click(await screen.findByRole("button", { name: "Forget old runs now…" }));
  const dialog = await screen.findByRole("dialog", { name: "Forget old runs?" });
  expect(dialog).toHaveTextContent("ended runs beyond the newest 1, with their tasks and logs");
  expect(dialog).toHaveTextContent("All documents");
  expect(await fake.listRuns(null, 9)).toHaveLength(3);
  await user.click(within(dialog).getByRole("button", { name: "Forget them" }));
  expect(await screen.findByText("2 runs forgotten.")).toBeVisible();
  expect(await fake.listRuns(null, 9)).toHaveLength(1);
});

it("adds, changes and removes values by name", async () => {
  const { fake, user } = await open({ at });
  const values = async () => (await fake.getSettings()).values;
  const name = await screen.findByRole("textbox", { name: "Name" });
  await user.type(name, "My Sector{Enter}");
  expect(await screen.findByText("Lower-case letters, digits and _, 64 at most.")).toBeVisible();
  await user.clear(name);
  await user.type(name, "sector");
  await user.type(screen.getByRole("textbox", { name: "Value" }), "energy{Enter}");
  await waitFor(async () => expect(await values()).toEqual({ company: "Acme", sector: "energy" }));

  const company = await screen.findByRole("textbox", { name: "Value of company" });
  await user.clear(company);
  await user.type(company, "Initech{Enter}");
  await waitFor(async () => expect(await values()).toEqual({ company: "Initech", sector: "energy" }));
  await user.click(screen.getByRole("button", { name: "Remove sector" }));
  await waitFor(async () => expect(await values()).toEqual({ company: "Initech" }));
});
