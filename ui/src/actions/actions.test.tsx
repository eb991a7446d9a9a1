import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { folderRun, open } from "../testing/harness";

it.each([
  ["gh", "/"],
  ["gj", "/jobs"],
  ["gr", "/runs"],
  ["gd", "/documents"],
  ["{Control>},{/Control}", "/settings"],
])("%s leads to %s", async (keys, path) => {
  const { user, router } = await open({ at: path === "/" ? "/runs" : "/" });
  await user.keyboard(keys);
  await waitFor(() => expect(router.state.location.pathname).toBe(path));
});

it("leaves letters alone while one types", async () => {
  const { user, router } = await open();
  const field = await screen.findByRole("textbox", { name: "Folder" });
  await user.type(field, "/gr?");
  expect(field).toHaveValue("/gr?");
  expect(router.state.location.pathname).toBe("/");
  expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
});

it("finds the search box with one key, from anywhere", async () => {
  const { user } = await open({ at: "/settings", seed: folderRun(200) });
  await screen.findByRole("heading", { name: "Settings" });
  await user.keyboard("/");
  expect(await screen.findByRole("searchbox", { name: "Search documents" })).toHaveFocus();
});

it("lets single keys be switched off", async () => {
  const { user, router } = await open({ at: "/settings" });
  await user.click(await screen.findByRole("switch", { name: "Single-key shortcuts" }));
  (document.activeElement as HTMLElement).blur();
  await user.keyboard("gr");
  expect(router.state.location.pathname).toBe("/settings");
  await user.keyboard("{Control>}k{/Control}");
  expect(await screen.findByRole("dialog", { name: "Command palette" })).toBeVisible();
});

it("offers every action in the palette, and does the chosen one", async () => {
  const { user, router } = await open({ seed: folderRun(200) });
  await user.keyboard("{Control>}k{/Control}");
  const palette = await screen.findByRole("dialog", { name: "Command palette" });
  const box = within(palette).getByRole("combobox");
  await waitFor(() => expect(box).toHaveFocus());
  for (const name of [
    /Go to Documents/,
    /Run “Crawl a site”/,
    /Use the dark theme/,
    /Open the data folder/,
  ]) {
    expect(await within(palette).findByRole("option", { name })).toBeInTheDocument();
  }
  await user.type(box, "go runs{Enter}");
  await waitFor(() => expect(router.state.location.pathname).toBe("/runs"));
  expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
});

it("moves through the palette by arrow keys, round and round", async () => {
  const { user } = await open();
  await user.keyboard("{Control>}k{/Control}");
  const box = await screen.findByRole("combobox", { name: "Command palette" });
  const active = () => document.getElementById(box.getAttribute("aria-activedescendant") ?? "")?.textContent;
  const first = active();
  await user.keyboard("{ArrowDown}");
  expect(active()).not.toBe(first);
  await user.keyboard("{ArrowUp}{ArrowUp}");
  expect(active()).not.toBe(first);
  await user.keyboard("{ArrowDown}");
  expect(active()).toBe(first);
});

it("searches for what is no command", async () => {
  const { user, router } = await open({ seed: folderRun(200) });
  await user.keyboard("{Control>}k{/Control}");
  await user.type(await screen.findByRole("combobox", { name: "Command palette" }), "glass back{Enter}");
  await waitFor(() => expect(router.state.location.search).toMatchObject({ q: "glass back" }));
});

it("lists the shortcuts, those of the screen first", async () => {
  const { user } = await open({ at: "/documents", seed: folderRun(200) });
  await screen.findAllByTestId("search-result");
  await user.keyboard("?");
  const sheet = await screen.findByRole("dialog", { name: "Keyboard shortcuts" });
  const [first] = within(sheet).getAllByRole("term");
  expect(first).toHaveTextContent("Next result");
  await user.keyboard("{Escape}");
  await waitFor(() => expect(sheet).not.toBeInTheDocument());
});

it("changes the size of text by keyboard, and keeps it", async () => {
  const { user } = await open();
  await user.keyboard("{Control>}={/Control}");
  expect(document.documentElement.style.fontSize).toBe("110%");
  expect(localStorage.getItem("quaero.zoom")).toBe("1.1");
  await user.keyboard("{Control>}0{/Control}");
  expect(document.documentElement.style.fontSize).toBe("");
});

it("remembers the theme in the program and for the first paint", async () => {
  const { fake, user } = await open({ at: "/settings" });
  await user.click(await screen.findByRole("radio", { name: "Dark" }));
  expect(document.documentElement.dataset.theme).toBe("dark");
  expect(localStorage.getItem("quaero.theme")).toBe("dark");
  await waitFor(async () =>
    expect(await fake.getSettings()).toMatchObject({ theme: "dark", values: { company: "Acme" } }),
  );
});
