// One list of everything the user can do now. The palette, the shortcuts and the sheet of shortcuts
// are views of it. Screens add theirs while they are shown.

import { useEffect, useSyncExternalStore } from "react";

export type Group = "go" | "here" | "run" | "recent" | "window";

export type Action = {
  id: string;
  title: string;
  group: Group;
  /** `g h` is one key after the other; `mod+k` is Ctrl, on a Mac Command. */
  keys?: string;
  /** Left out of the palette: an act that only makes sense as a key. */
  keyOnly?: boolean;
  run: () => void;
};

const owners = new Map<symbol, Action[]>();
const listeners = new Set<() => void>();
let all: Action[] = [];

function changed(): void {
  all = [...owners.values()].flat();
  for (const listener of listeners) listener();
}

export const currentActions = () => all;

/** Offers these actions while the calling component is shown. Pass a stable list. */
export function useActions(actions: Action[]): void {
  useEffect(() => {
    const owner = Symbol("actions");
    owners.set(owner, actions);
    changed();
    return () => {
      owners.delete(owner);
      changed();
    };
  }, [actions]);
}

export function useAllActions(): Action[] {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, currentActions);
}
