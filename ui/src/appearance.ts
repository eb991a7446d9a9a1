// Theme, text size and whether single keys act. The theme is a setting of the program; what is kept
// here lets `theme.js` draw the first frame right, before any answer has come.

import { useSyncExternalStore } from "react";
import type { Theme } from "./backend/types";

const ZOOMS = [0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2];
const listeners = new Set<() => void>();
const darkDesktop = () => window.matchMedia("(prefers-color-scheme: dark)");

function read(key: string): string | null {
  try {
    return localStorage.getItem(`quaero.${key}`);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`quaero.${key}`, value);
  } catch {
    // Not kept for the next start; nothing else is lost.
  }
}

let theme: Theme = (read("theme") as Theme | null) ?? "system";
let zoom = Number(read("zoom")) || 1;
let singleKeys = read("singleKeys") !== "off";

function changed(): void {
  for (const listener of listeners) listener();
}

function applyTheme(): void {
  const dark = theme === "dark" || (theme === "system" && darkDesktop().matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

export function setTheme(next: Theme): void {
  theme = next;
  write("theme", next);
  applyTheme();
  changed();
}

export function setZoom(next: number): void {
  zoom = next;
  write("zoom", String(next));
  document.documentElement.style.fontSize = next === 1 ? "" : `${Math.round(next * 100)}%`;
  changed();
}

/** One size up (1), down (-1) or back to normal (0). */
export function stepZoom(step: 1 | -1 | 0): void {
  const at = ZOOMS.findIndex((size) => size >= zoom);
  const next = ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, at + step))] ?? 1;
  setZoom(step === 0 ? 1 : next);
}

export function setSingleKeys(on: boolean): void {
  singleKeys = on;
  write("singleKeys", on ? "on" : "off");
  changed();
}

export const singleKeysAct = () => singleKeys;

export function watchDesktopTheme(): void {
  darkDesktop().addEventListener("change", applyTheme);
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useTheme = () => useSyncExternalStore(subscribe, () => theme);
export const useZoom = () => useSyncExternalStore(subscribe, () => zoom);
export const useSingleKeys = () => useSyncExternalStore(subscribe, () => singleKeys);

/** Pixels of one rem now; virtual lists measure rows in it. */
export const useRem = () => useZoom() * 16;
