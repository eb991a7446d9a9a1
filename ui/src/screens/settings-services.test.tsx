import { screen, waitFor, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { open } from "../testing/harness";

const at = "/settings";

async function dialog(user: Awaited<ReturnType<typeof open>>["user"], name: string) {
  await user.click(await screen.findByRole("button", { name: `Set up ${name}` }));
  return within(await screen.findByRole("dialog", { name }));
}

it("keeps a key in the keychain, and never shows it again", async () => {
  const { fake, user } = await open({ at });
  const brave = await dialog(user, "Brave Search");
  await user.type(brave.getByLabelText("Key"), "canary");
  await user.click(brave.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(fake.services.keys.get("brave")).toEqual({ key: "canary", place: "keychain" });
  expect(await screen.findByText("Key in the keychain")).toBeVisible();
  const again = await dialog(user, "Brave Search");
  expect(again.getByLabelText("Key")).toHaveValue("");
  expect(document.body.innerHTML).not.toContain("canary");
  await user.click(again.getByRole("button", { name: "Forget the key" }));
  await waitFor(() => expect(fake.services.keys.size).toBe(0));
});

it("offers a sealed file where there is no keychain, and says what is wrong with a passphrase", async () => {
  const { fake, user } = await open({
    at,
    seed: (fake) => {
      fake.services.keychain = "missing";
    },
  });
  const brave = await dialog(user, "Brave Search");
  await user.type(brave.getByLabelText("Key"), "canary");
  expect(brave.queryByRole("radio", { name: "Keychain" })).toBeNull();
  await user.type(brave.getByLabelText("Passphrase"), "short");
  await user.click(brave.getByRole("button", { name: "Save" }));
  expect(await brave.findByText("A passphrase has at least 8 characters.")).toBeVisible();
  expect(fake.services.keys.size).toBe(0);
  await user.type(brave.getByLabelText("Passphrase"), " and then long");
  await user.click(brave.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(fake.services.keys.get("brave")?.place).toBe("file"));
});

it("says what a service answers when it is tested", async () => {
  const { fake, user } = await open({
    at,
    seed: (fake) => {
      fake.services.answer = { ok: false, message: "SearXNG does not give results as JSON.", quota: null };
    },
  });
  const searxng = await dialog(user, "SearXNG");
  await user.type(searxng.getByLabelText("Address"), "http://localhost:8888/");
  await user.click(searxng.getByRole("button", { name: "Test" }));
  expect(await searxng.findByText(/does not give results as JSON/)).toBeVisible();
  expect((await fake.getSettings()).providers).toEqual({ searxng: { base_url: "http://localhost:8888/" } });
});

it("lets the user choose which search is asked first", async () => {
  const { fake, user } = await open({ at });
  await user.click(await screen.findByRole("button", { name: "Ask Tavily first" }));
  await waitFor(async () =>
    expect((await fake.getSettings()).search_order).toEqual(["tavily", "searxng", "brave"]),
  );
});

it("keeps a mail server and its password", async () => {
  const { fake, user } = await open({ at });
  const mail = await dialog(user, "E-mail");
  await user.type(mail.getByLabelText("Server"), "smtp.example.org");
  await user.type(mail.getByLabelText("Sender"), "me@example.org");
  await user.type(mail.getByLabelText("Password"), "canary");
  await user.click(mail.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect((await fake.getSettings()).mail).toMatchObject({ host: "smtp.example.org", from: "me@example.org" });
  expect(fake.services.keys.get("smtp")?.key).toBe("canary");
});

it("shows why nothing runs any more as soon as the engine gives up", async () => {
  const { fake } = await open({ at });
  await screen.findByRole("heading", { name: "Services" });
  const error = { code: "corrupt" as const, message: "The database is damaged.", hint: null, where: null };
  fake.tell({ kind: "halted", error });
  expect(await screen.findByText("The database is damaged.")).toBeVisible();
});
