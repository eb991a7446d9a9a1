import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { open } from "../testing/harness";

async function dialog(user: Awaited<ReturnType<typeof open>>["user"]) {
  await user.click(await screen.findByRole("button", { name: "Import…" }));
  return within(await screen.findByRole("dialog", { name: "Import a sign-in" }));
}

it("imports a sign-in for one site, and never shows what is in it", async () => {
  const { fake, user } = await open({ at: "/settings" });
  const form = await dialog(user);
  await user.type(form.getByLabelText("Name"), "work");
  const cookies = ".example.org\tTRUE\t/\tTRUE\t0\tsid\tcanary";
  // jsdom's files cannot be read like this yet.
  const file = Object.assign(new File([cookies], "cookies.txt"), { text: async () => cookies });
  await user.upload(form.getByLabelText("Cookies"), file);
  await user.type(form.getByLabelText("Site"), "example.org");
  await user.type(form.getByLabelText("Headers"), "X-Key: canary");
  await user.click(form.getByRole("button", { name: "Import" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(fake.services.profiles.get("work")?.place).toBe("keychain");
  expect(fake.services.profiles.get("work")?.cookies).toContain("canary");
  expect(await screen.findByText("example.org, 1 cookie, 1 header.")).toBeVisible();
  expect(document.body.innerHTML).not.toContain("canary");
  await user.click(screen.getByRole("button", { name: "Remove work" }));
  await waitFor(() => expect(fake.services.profiles.size).toBe(0));
});

it("says what is wrong with an import, and keeps what was typed", async () => {
  const { user } = await open({ at: "/settings" });
  const form = await dialog(user);
  await user.type(form.getByLabelText("Name"), "work");
  await user.click(form.getByRole("button", { name: "Import" }));
  expect(await form.findByText("Name the site that the profile is for.")).toBeVisible();
  expect(form.getByLabelText("Name")).toHaveValue("work");
});

it("signs in in a window of its own, and keeps that when the user says so", async () => {
  const { fake, user } = await open({ at: "/settings" });
  await user.click(await screen.findByRole("button", { name: "Sign in…" }));
  const form = within(await screen.findByRole("dialog", { name: "Sign in to a site" }));
  await user.type(form.getByLabelText("Name"), "work");
  await user.click(form.getByRole("button", { name: "Open window" }));
  expect(await form.findByText(/cannot be opened/)).toBeVisible();
  await user.type(form.getByLabelText("Address"), "example.org");
  await user.click(form.getByRole("button", { name: "Open window" }));
  await user.click(await form.findByRole("button", { name: "Keep sign-in" }));
  expect(await form.findByText(/no cookies for example.org/)).toBeVisible();
  if (!fake.services.signIn) throw new Error("the window is gone");
  fake.services.signIn.cookies = "sid=canary";
  await user.click(form.getByRole("button", { name: "Keep sign-in" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(await screen.findByText("example.org, 1 cookie, 0 headers.")).toBeVisible();
  expect(document.body.innerHTML).not.toContain("canary");
});

it("closes the window of a sign-in that is given up", async () => {
  const { fake, user } = await open({ at: "/settings" });
  await user.click(await screen.findByRole("button", { name: "Sign in…" }));
  const form = within(await screen.findByRole("dialog", { name: "Sign in to a site" }));
  await user.type(form.getByLabelText("Name"), "work");
  await user.type(form.getByLabelText("Address"), "example.org");
  await user.click(form.getByRole("button", { name: "Open window" }));
  await form.findByRole("button", { name: "Keep sign-in" });
  expect(fake.services.signIn?.name).toBe("work");
  await user.click(form.getByRole("button", { name: "Cancel" }));
  await waitFor(() => expect(fake.services.signIn).toBeNull());
  expect(fake.services.profiles.size).toBe(0);
});
