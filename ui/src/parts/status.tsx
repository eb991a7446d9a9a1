// Status by shape and colour together, so that neither has to be told apart alone.

import type { JobStatus, RunStatus, RunSummary } from "../backend/types";
import { text } from "../text";

export type AnyStatus = JobStatus | RunStatus | "warned";

const colours: Record<AnyStatus, string> = {
  pending: "text-faint",
  running: "text-accent",
  waiting: "text-accent",
  completed: "text-ok",
  warned: "text-warn",
  failed: "text-error",
  cancelled: "text-muted",
  skipped: "text-faint",
  interrupted: "text-warn",
  paused: "text-info",
  queued: "text-faint",
};

const ring = <circle cx="8" cy="8" r="4.75" />;

const shapes: Record<AnyStatus, React.ReactNode> = {
  pending: ring,
  running: (
    <>
      {ring}
      <path d="M8 3.25v9.5a4.75 4.75 0 0 0 0-9.5z" fill="currentColor" stroke="none" />
    </>
  ),
  waiting: (
    <>
      {ring}
      <circle cx="8" cy="8" r="1.75" fill="currentColor" stroke="none" />
    </>
  ),
  completed: <path d="m3.25 8.5 3.25 3.25 6.25-7.25" />,
  warned: <path d="M8 2.75 14 13.25H2zM8 6.75v3M8 11.4v.1" />,
  failed: <path d="m4 4 8 8M12 4l-8 8" />,
  cancelled: <rect x="4" y="4" width="8" height="8" rx="1.25" />,
  skipped: <path d="M3 10.5c1-4.5 7-5.5 9.5-1.5M12.75 5.5V9.25H9" />,
  // A ring torn apart.
  interrupted: <path d="M6.25 3.58a4.75 4.75 0 0 0 0 8.84M9.75 3.58a4.75 4.75 0 0 1 0 8.84" />,
  paused: <path d="M5.75 3.75v8.5M10.25 3.75v8.5" />,
  // A clock.
  queued: (
    <>
      {ring}
      <path d="M8 5.5V8l1.75 1" />
    </>
  ),
};

export function StatusShape({ status, className = "" }: { status: AnyStatus; className?: string }) {
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      className={`size-4 shrink-0 ${colours[status]} ${className}`}
    >
      {shapes[status]}
    </svg>
  );
}

/** The shape with its word for those who cannot see it. */
export function StatusIcon({ status }: { status: AnyStatus }) {
  return (
    <span className="inline-flex" title={text.status[status]}>
      <StatusShape status={status} />
      <span className="sr-only">{text.status[status]}</span>
    </span>
  );
}

export function StatusChip({ status }: { status: AnyStatus }) {
  return (
    <span
      className={`tinted inline-flex h-5 max-w-full items-center gap-1 rounded-l border pr-2 pl-1.5 text-label whitespace-nowrap ${colours[status]}`}
    >
      <StatusShape status={status} className="size-3" />
      <span className="truncate">{text.status[status]}</span>
    </span>
  );
}

/** Under way, whether or not something of it moves now. */
export const isOpen = (run: RunSummary) =>
  run.status === "running" || run.status === "paused" || run.status === "queued";

/** A run that completed with warnings is shown as such. */
export function shownStatus(run: RunSummary): AnyStatus {
  return run.status === "completed" && run.warnings > 0 ? "warned" : run.status;
}

export function Chip({ children, colour = "" }: { children: React.ReactNode; colour?: string }) {
  return (
    <span
      className={`inline-flex h-5 max-w-full items-center gap-1 truncate rounded-l border px-2 text-label whitespace-nowrap ${colour ? `tinted ${colour}` : "border-line text-muted"}`}
    >
      {children}
    </span>
  );
}
