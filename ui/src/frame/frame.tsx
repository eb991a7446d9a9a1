// What surrounds every screen: navigation, the palette, shortcuts, and what is said aloud.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { KeysSheet } from "../actions/keys-sheet";
import { Palette } from "../actions/palette";
import { type Action, useActions } from "../actions/registry";
import { listenForShortcuts } from "../actions/shortcuts";
import { setTheme, stepZoom } from "../appearance";
import { backend } from "../backend";
import type { Theme } from "../backend/types";
import { changeSettings, settingsQuery, startupQuery } from "../data/queries";
import { keepInStep } from "../data/sync";
import { Failed } from "../parts/states";
import { text } from "../text";
import { Announcer, announce, Notices, notifyError } from "./notices";
import { Sidebar } from "./sidebar";
import { StorageWait } from "./storage-wait";

type Open = "palette" | "keys" | null;

export function Frame() {
  const client = useQueryClient();
  const [open, setOpen] = useState<Open>(null);
  const close = useCallback(() => setOpen(null), []);
  const main = useRef<HTMLElement>(null);
  const startup = useQuery(startupQuery).data ?? null;

  useEffect(
    () => keepInStep(backend, client, (run) => announce(text.run.ended(run.name, text.status[run.status]))),
    [client],
  );
  useEffect(listenForShortcuts, []);
  useGlobalActions(setOpen);
  useTheming();
  useFocusAfterNavigation(main);

  if (startup) {
    return (
      <main className="grid h-full place-items-center">
        <h1 className="sr-only">{text.app}</h1>
        <Failed error={startup} />
      </main>
    );
  }
  return (
    <div className="flex h-full">
      <button
        type="button"
        onClick={() => main.current?.focus()}
        className="absolute top-2 left-2 z-30 -translate-y-20 rounded-m bg-accent px-3 py-1.5 text-on-accent focus:translate-y-0"
      >
        {text.skip}
      </button>
      <Sidebar onPalette={() => setOpen("palette")} />
      <main
        ref={main}
        id="main"
        tabIndex={-1}
        className="@container/main flex min-w-0 flex-1 flex-col bg-bg1 outline-none"
      >
        <StorageWait />
        <Outlet />
      </main>
      <Palette open={open === "palette"} onClose={close} />
      <KeysSheet open={open === "keys"} onClose={close} />
      <Notices />
      <Announcer />
    </div>
  );
}

function useGlobalActions(setOpen: (open: Open) => void): void {
  const navigate = useNavigate();
  const client = useQueryClient();
  const actions = useMemo((): Action[] => {
    const theme = (next: Theme) => {
      setTheme(next);
      changeSettings(client, { theme: next }).catch(notifyError);
    };
    return [
      {
        id: "home",
        title: text.actions.home,
        group: "go",
        keys: "g h",
        run: () => void navigate({ to: "/" }),
      },
      {
        id: "jobs",
        title: text.actions.jobs,
        group: "go",
        keys: "g j",
        run: () => void navigate({ to: "/jobs" }),
      },
      {
        id: "runs",
        title: text.actions.runs,
        group: "go",
        keys: "g r",
        run: () => void navigate({ to: "/runs" }),
      },
      {
        id: "documents",
        title: text.actions.documents,
        group: "go",
        keys: "g d",
        run: () => void navigate({ to: "/documents" }),
      },
      {
        id: "settings",
        title: text.actions.settings,
        group: "go",
        keys: "mod+,",
        run: () => void navigate({ to: "/settings" }),
      },
      {
        id: "search",
        title: text.actions.focusSearch,
        group: "go",
        keys: "/",
        run: () => void navigate({ to: "/documents", search: { focus: true } }),
      },
      {
        id: "palette",
        title: text.actions.palette,
        group: "window",
        keys: "mod+k",
        keyOnly: true,
        run: () => setOpen("palette"),
      },
      { id: "keys", title: text.actions.shortcuts, group: "window", keys: "?", run: () => setOpen("keys") },
      { id: "light", title: text.actions.light, group: "window", run: () => theme("light") },
      { id: "dark", title: text.actions.dark, group: "window", run: () => theme("dark") },
      { id: "system", title: text.actions.system, group: "window", run: () => theme("system") },
      { id: "zoom-in", title: text.actions.zoomIn, group: "window", keys: "mod+=", run: () => stepZoom(1) },
      {
        id: "zoom-out",
        title: text.actions.zoomOut,
        group: "window",
        keys: "mod+-",
        run: () => stepZoom(-1),
      },
      {
        id: "zoom-reset",
        title: text.actions.zoomReset,
        group: "window",
        keys: "mod+0",
        run: () => stepZoom(0),
      },
      {
        id: "data",
        title: text.actions.dataDir,
        group: "window",
        run: () => void backend.openDataDir().catch(notifyError),
      },
    ];
  }, [navigate, client, setOpen]);
  useActions(actions);
}

/** The program's setting wins over what the last start remembered. */
function useTheming(): void {
  const theme = useQuery(settingsQuery).data?.theme;
  useEffect(() => {
    if (theme) setTheme(theme);
  }, [theme]);
}

/** When the focused element went away with its screen, the keyboard goes on at the new one. */
function useFocusAfterNavigation(main: React.RefObject<HTMLElement | null>): void {
  const path = useRouterState({ select: (state) => state.location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the change of the path that matters
  useEffect(() => {
    if (document.activeElement === document.body) main.current?.focus({ preventScroll: true });
  }, [path, main]);
}
