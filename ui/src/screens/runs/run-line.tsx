import { Link } from "@tanstack/react-router";
import type { RunSummary } from "../../backend/types";
import { useNow } from "../../data/hooks";
import { clock, exactTime, number, percent, took, when } from "../../format";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { Chip, StatusIcon, shownStatus } from "../../parts/status";
import { text } from "../../text";

/** What a run works on. Its end tells most: for lack of room the middle goes, then the beginning. */
export function Subject({ run, className = "" }: { run: RunSummary; className?: string }) {
  if (run.subject === "") return null;
  const [head, tail] = ends(run.subject);
  return (
    <span
      title={run.subject}
      // Gives way long before the name beside it does; a little would already cost that its last letters.
      className={`flex min-w-0 shrink-99999 justify-end overflow-hidden text-meta text-muted ${className}`}
    >
      {head !== "" && <span className="min-w-0 shrink-99999 truncate whitespace-pre">{head}</span>}
      {/* Right to left, so that the ellipsis stands where the beginning was. */}
      <span className="min-w-0 truncate [direction:rtl]">
        <bdi dir="ltr">{tail}</bdi>
      </span>
    </span>
  );
}

const TAIL = 24;
/** Of less than this, what is left beside an ellipsis would only mislead. */
const HEAD = 8;

/** Cuts a path or an address before its last parts, which stay whole where they are short. */
function ends(subject: string): [string, string] {
  const at = subject.length - TAIL < HEAD ? 0 : subject.length - TAIL;
  const part = subject.slice(at, -1).search(/[/\\]/);
  const cut = at === 0 ? 0 : at + Math.max(0, part);
  return [subject.slice(0, cut), subject.slice(cut)];
}

/** A run in one line, as on the first screen. */
export function RunLine({ run }: { run: RunSummary }) {
  const live = run.status === "running";
  return (
    <li className="border-b border-line last:border-0">
      <Link
        to="/runs/$id"
        params={{ id: run.id }}
        className="flex h-9 items-center gap-2.5 px-3 outline-offset-[-2px] transition-colors duration-75 hover:bg-bg0"
      >
        <StatusIcon status={shownStatus(run)} />
        <span className="min-w-0 shrink-0 truncate font-medium @max-[38rem]/main:shrink">{run.name}</span>
        <Subject run={run} className="max-w-[60%]" />
        {live && (
          <>
            <span className="num">
              <Chip colour="text-accent">{percent(doneTasks(run.jobs), run.jobs.total)}</Chip>
            </span>
            <ProgressBar jobs={run.jobs} className="h-1 w-40 min-w-8 shrink @max-[38rem]/main:hidden" />
          </>
        )}
        {run.warnings > 0 && <Chip colour="text-warn">{text.warnings(run.warnings)}</Chip>}
        <span className="min-w-0 flex-1 truncate text-meta text-faint">{!live && outcome(run)}</span>
        <span className="num shrink-0 text-meta text-faint">
          {live ? (
            <>
              {number(doneTasks(run.jobs))}
              {text.run.tasks(0, run.jobs.total).rest}
              <span className="@max-[38rem]/main:hidden">
                {" "}
                · <Elapsed run={run} />
              </span>
            </>
          ) : (
            <time dateTime={run.finished ?? run.started} title={exactTime(run.finished ?? run.started)}>
              {when(run.finished ?? run.started)}
            </time>
          )}
        </span>
      </Link>
    </li>
  );
}

function outcome(run: RunSummary): string {
  if (run.error) return run.error.message;
  if (run.status === "interrupted") return text.run.interruptedTitle;
  if (run.status === "paused") return text.run.pausedTitle;
  if (run.status === "queued") return text.run.queuedTitle;
  const { created, updated, unchanged } = run.documents;
  return text.documentsCount(created + updated + unchanged);
}

/** How long a run takes, moving while it is under way. */
export function Elapsed({ run }: { run: RunSummary }) {
  const live = run.status === "running";
  const now = useNow(live);
  if (live) return <>{clock(now - Date.parse(run.started))}</>;
  // Of a run that was cut off or stands still nobody knows how long it worked.
  return <>{run.finished === null ? "–" : took(run.duration_ms)}</>;
}
