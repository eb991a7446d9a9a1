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
