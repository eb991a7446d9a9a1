// How two texts differ by lines, as the program says it: hunks with three lines around each change.

import type { DiffHunk, DiffLine, TextDiff } from "../types";

const AROUND = 3;

export function diff(before: string, after: string): TextDiff {
  const lines = compare(before.trimEnd().split("\n"), after.trimEnd().split("\n"));
  const near = lines.map((_, at) =>
    lines.slice(Math.max(0, at - AROUND), at + AROUND + 1).some((line) => line.kind !== "same"),
  );
  const hunks: DiffHunk[] = [];
  let open: DiffLine[] = [];
  const close = () => {
    if (open.length > 0) hunks.push(hunk(open));
    open = [];
  };
  lines.forEach((line, at) => {
    if (near[at]) open.push(line);
    else close();
  });
  close();
  const count = (kind: DiffLine["kind"]) => lines.filter((line) => line.kind === kind).length;
  return { hunks, added: count("added"), removed: count("removed"), truncated: false };
}

function hunk(lines: DiffLine[]): DiffHunk {
  const numbers = (of: "old" | "new") => lines.flatMap((line) => line[of] ?? []);
  const [old, fresh] = [numbers("old"), numbers("new")];
  return {
    old_start: old[0] ?? 0,
    old_lines: old.length,
    new_start: fresh[0] ?? 0,
    new_lines: fresh.length,
    lines,
  };
}

/** By the longest common subsequence; the texts here are short. */
function compare(a: string[], b: string[]): DiffLine[] {
  const length = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  const at = (i: number, j: number) => length[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      (length[i] as number[])[j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: DiffLine[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const parts = (text: string | undefined, changed: boolean) => [{ text: text ?? "", changed }];
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", old: ++i, new: ++j, parts: parts(a[i - 1], false), unterminated: false });
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "removed", old: ++i, new: null, parts: parts(a[i - 1], true), unterminated: false });
    } else {
      lines.push({ kind: "added", old: null, new: ++j, parts: parts(b[j - 1], true), unterminated: false });
    }
  }
  return lines;
}
