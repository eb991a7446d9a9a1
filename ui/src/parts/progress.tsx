import type { JobCounts } from "../backend/types";
import { percent } from "../format";

/** Tasks whose own work is over, whatever the outcome. */
export function doneTasks(jobs: JobCounts): number {
  return jobs.waiting + jobs.completed + jobs.failed + jobs.cancelled + jobs.skipped;
}

/** How far the tasks are, by state: done, failed, left out, under way. */
export function ProgressBar({
  jobs,
  label,
  className = "h-1.5",
}: {
  jobs: JobCounts;
  /** Left out where words beside it say the same. */
  label?: string;
  className?: string;
}) {
  const done = doneTasks(jobs);
  const parts = [
    { key: "ok", n: jobs.completed + jobs.waiting, colour: "bg-ok" },
    { key: "failed", n: jobs.failed, colour: "bg-error" },
    { key: "out", n: jobs.cancelled + jobs.skipped, colour: "bg-edge" },
    { key: "running", n: jobs.running, colour: "bg-accent" },
  ].filter((part) => part.n > 0);
  return (
    <div
      {...(label === undefined
        ? { "aria-hidden": true }
        : {
            role: "progressbar",
            "aria-label": label,
            "aria-valuemin": 0,
            "aria-valuemax": jobs.total,
            "aria-valuenow": done,
            "aria-valuetext": percent(done, jobs.total),
          })}
      className={`flex overflow-hidden rounded-full bg-bg2 ${className}`}
    >
      {parts.map((part) => (
        <div
          key={part.key}
          className={`${part.colour} min-w-px`}
          style={{ width: `${(part.n / Math.max(1, jobs.total)) * 100}%` }}
        />
      ))}
    </div>
  );
}
