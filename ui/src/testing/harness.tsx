// Starts the whole window on a fresh in-memory backend.

import { createMemoryHistory } from "@tanstack/react-router";
import { act, render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { App } from "../app";
import { setSingleKeys } from "../appearance";
import { FakeBackend } from "../backend/fake/engine";
import { newClient } from "../data/queries";
import { notify } from "../frame/notices";
import { newRouter } from "../router";
import { current } from "./current";

type Options = { at?: string; size?: number; seed?: (fake: FakeBackend) => void };

export async function open({ at = "/", size = 24, seed }: Options = {}) {
  const fake = new FakeBackend({ size });
  current.backend = fake;
  notify(null);
  setSingleKeys(true);
  seed?.(fake);
  const router = newRouter(createMemoryHistory({ initialEntries: [at] }));
  const client = newClient();
  render(<App client={client} router={router} />);
  await screen.findByRole("main");
  return {
    fake,
    router,
    client,
    user: userEvent.setup({ delay: null }),
    /** Lets the engine work. */
    advance: (ticks: number) => act(async () => fake.advance(ticks)),
  };
}

/** The same, on the page of the newest run that `seed` makes. */
export async function openRun(seed: (fake: FakeBackend) => void, search = "") {
  const window = await open({ at: "/runs", seed });
  const [run] = await window.fake.listRuns(null, 1);
  if (!run) throw new Error("the seed makes no run");
  await act(() => window.router.navigate({ href: `/runs/${run.id}${search}` }));
  const status = await screen.findByTestId("run-status");
  return { ...window, id: run.id, status: () => status.dataset.status };
}

/** A run over a folder of `size` files, as far as `ticks` bring it. */
export const folderRun =
  (ticks: number, size = 24, folder = "/home/you/docs") =>
  (fake: FakeBackend) => {
    fake.seedRun("index-folder", folder, 1, ticks, size);
  };
