// Turns key presses into actions.

import { singleKeysAct } from "../appearance";
import { type Action, currentActions } from "./registry";

const CHORD_MS = 1200;

export function listenForShortcuts(): () => void {
  let first: { key: string; at: number } | null = null;

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return;
    const key = name(event);
    if (key === null) return;
    if (!key.startsWith("mod+")) {
      if (!singleKeysAct() || takesText(event.target) || inDialog()) {
        first = null;
        return;
      }
    }
    const chord = first !== null && event.timeStamp - first.at < CHORD_MS ? `${first.key} ${key}` : null;
    const action = (chord && find(chord)) || find(key);
    if (action) {
      event.preventDefault();
      first = null;
      action.run();
      return;
    }
    first = begins(key) ? { key, at: event.timeStamp } : null;
  };

  window.addEventListener("keydown", onKeyDown);
  return () => window.removeEventListener("keydown", onKeyDown);
}

/** The later action wins, so that a screen can take a key over from the frame. */
const find = (keys: string): Action | undefined =>
  currentActions().findLast((action) => action.keys === keys);

const begins = (key: string) => currentActions().some((action) => action.keys?.startsWith(`${key} `));

function name(event: KeyboardEvent): string | null {
  if (event.altKey) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) return `mod+${key === "+" ? "=" : key}`;
  return event.key.length === 1 ? key : null;
}

function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  )
    return true;
  return (
    target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit"].includes(target.type)
  );
}

const inDialog = () => document.querySelector("[role=dialog][data-open]") !== null;

const isMac = /Mac/.test(navigator.platform);

/** The caps to draw for `keys`, chord by chord. */
export function caps(keys: string): string[] {
  return keys.split(" ").map((part) => {
    if (!part.startsWith("mod+")) return part;
    const key = part.slice(4);
    return `${isMac ? "⌘" : "Ctrl"} ${key === "=" ? "+" : key.toUpperCase()}`;
  });
}
