// How one text became another, line by line. A sign tells what a colour tells too.

import type { DiffHunk, DiffLine, TextDiff } from "../backend/types";
import { text } from "../text";

const rows: Record<DiffLine["kind"], string> = {
  same: "",
  added: "bg-[color-mix(in_oklch,var(--ok)_9%,transparent)]",
  removed: "bg-[color-mix(in_oklch,var(--error)_8%,transparent)]",
};
const changed: Record<DiffLine["kind"], string> = {
  same: "",
  added: "bg-[color-mix(in_oklch,var(--ok)_20%,transparent)]",
  removed: "bg-[color-mix(in_oklch,var(--error)_18%,transparent)]",
};
const signs: Record<DiffLine["kind"], string> = { same: " ", added: "+", removed: "−" };

export function TextDiffView({ diff, label = text.diff.label }: { diff: TextDiff; label?: string }) {
  if (diff.hunks.length === 0) return <p className="p-4 text-muted">{text.diff.same}</p>;
  return (
    <section
      tabIndex={0}
      aria-label={label}
      className="code min-w-0 overflow-auto py-2 outline-offset-[-2px]"
    >
      <div className="w-max min-w-full">
        {diff.hunks.map((hunk, at) => (
          <div key={`${hunk.old_start}-${hunk.new_start}`}>
            {(at > 0 || startsLater(hunk)) && (
              <div aria-hidden="true" className="px-4 text-faint select-none">
                {text.diff.skipped}
              </div>
            )}
            {hunk.lines.map((line, n) => (
              <Line key={n} line={line} />
            ))}
          </div>
        ))}
      </div>
      {diff.truncated && <p className="px-4 pt-2 font-sans text-muted">{text.diff.truncated}</p>}
    </section>
  );
}

const startsLater = (hunk: DiffHunk) => hunk.old_start > 1 || hunk.new_start > 1;

function Line({ line }: { line: DiffLine }) {
  // A line that changed as a whole is told by its row.
  const whole = line.parts.every((part) => part.changed);
  return (
    <div className={`flex ${rows[line.kind]}`}>
      <span aria-hidden="true" className="num w-9 shrink-0 pr-2 text-right text-faint select-none">
        {line.old}
      </span>
      <span aria-hidden="true" className="num w-9 shrink-0 pr-2 text-right text-faint select-none">
        {line.new}
      </span>
      <span
        aria-hidden="true"
        className={`w-5 shrink-0 select-none ${line.kind === "added" ? "text-ok" : "text-error"}`}
      >
        {signs[line.kind]}
      </span>
      {line.kind !== "same" && <span className="sr-only">{text.diff.kinds[line.kind]}: </span>}
      <code className="pr-4 whitespace-pre">
        {line.parts.map((part, at) => (
          <span key={at} className={part.changed && !whole ? `rounded-s ${changed[line.kind]}` : ""}>
            {part.text || "\u200b"}
          </span>
        ))}
      </code>
    </div>
  );
}

export function DiffCounts({ diff }: { diff: TextDiff }) {
  if (diff.hunks.length === 0) return null;
  return <span className="num text-meta text-muted">{text.diff.counts(diff.added, diff.removed)}</span>;
}
