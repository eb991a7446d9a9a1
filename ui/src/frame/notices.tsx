// What went wrong with something the user did, where the place it belongs to cannot show it; and what
// is said aloud without being drawn.

import { useSyncExternalStore } from "react";
import { asApiError } from "../backend/backend";
import type { ApiError } from "../backend/types";
import { Button, IconButton } from "../parts/button";
import { Icon } from "../parts/icon";
import { CopyButton, details } from "../parts/states";
import { text } from "../text";

type Notice = {
  title: string;
  about: string;
  /** Nothing went wrong; it is told, and may offer something. */
  good?: boolean;
  copy?: { label: string; value: string };
  action?: { label: string; run: () => void };
};

let notice: Notice | null = null;
let spoken = "";
const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export function notify(next: Notice | null): void {
  notice = next;
  changed();
}

export function notifyError(thrown: unknown): void {
  const error: ApiError = asApiError(thrown);
  const about = `${error.message} ${error.hint ?? text.failed.hint[error.code]}`;
  notify({
    title: text.failed.title[error.code],
    about,
    copy: { label: text.failed.copy, value: details(error) },
  });
}

/** Said politely by screen readers. */
export function announce(sentence: string): void {
  spoken = sentence;
  changed();
}

export function Announcer() {
  const sentence = useSyncExternalStore(subscribe, () => spoken);
  return (
    <div aria-live="polite" className="sr-only" data-testid="announcer">
      {sentence}
    </div>
  );
}

export function Notices() {
  const shown = useSyncExternalStore(subscribe, () => notice);
  if (!shown) return null;
  return (
    <div
      role={shown.good ? "status" : "alert"}
      className="fixed right-4 bottom-4 z-20 grid w-96 max-w-[calc(100vw-2rem)] gap-1.5 rounded-l border border-line bg-bg1 p-3 shadow-pop"
    >
      <div className="flex items-start gap-2">
        <Icon
          name={shown.good ? "check" : "warn"}
          className={`mt-0.5 size-4 ${shown.good ? "text-ok" : "text-warn"}`}
        />
        <p className="min-w-0 flex-1 [overflow-wrap:anywhere] font-semibold">{shown.title}</p>
        <IconButton label={text.failed.dismiss} onClick={() => notify(null)} className="-mt-1 -mr-1">
          <Icon name="close" />
        </IconButton>
      </div>
      <p className="pl-6 text-muted [overflow-wrap:anywhere]">{shown.about}</p>
      {(shown.copy || shown.action) && (
        <div className="flex gap-2 pl-6">
          {shown.action && <Button onClick={shown.action.run}>{shown.action.label}</Button>}
          {shown.copy && <CopyButton label={shown.copy.label} value={() => shown.copy?.value ?? ""} />}
        </div>
      )}
    </div>
  );
}
