// A definition's text with its lines numbered and its problems at their places.

import { Fragment } from "react";
import type { Problem } from "../backend/types";
import { text } from "../text";

/** Spans are in bytes; a JavaScript string is not. */
function toChars(source: string): (byte: number) => number {
  const encoder = new TextEncoder();
  if (encoder.encode(source).length === source.length) return (byte) => byte;
  const starts = new Map<number, number>();
  let bytes = 0;
  let chars = 0;
  for (const char of source) {
    starts.set(bytes, chars);
    bytes += encoder.encode(char).length;
    chars += char.length;
  }
  starts.set(bytes, chars);
  return (byte) => starts.get(byte) ?? source.length;
}

export function SourceText({
  source,
  problems = [],
  label,
}: {
  source: string;
  problems?: Problem[];
  label: string;
}) {
  const char = toChars(source);
  const lines = source.replace(/\n$/, "").split("\n");
  let start = 0;
  return (
    <section
      tabIndex={0}
      aria-label={label}
      className="code min-w-0 overflow-auto py-3 outline-offset-[-2px]"
    >
      {lines.map((line, at) => {
        const from = start;
        start += line.length + 1;
        const here = problems.filter((problem) => problem.line === at + 1);
        return (
          <Fragment key={from}>
            <div className={`flex w-max min-w-full ${marked(here)}`}>
              <span aria-hidden="true" className="num w-11 shrink-0 pr-3 text-right text-faint select-none">
                {at + 1}
              </span>
              <code className="pr-4 whitespace-pre">
                <Line
                  line={line}
                  marks={here.map((problem) => [char(problem.start) - from, char(problem.end) - from])}
                />
              </code>
            </div>
            {here.map((problem) => (
              <div
                key={problem.code + problem.column}
                className={`flex ${marked([problem])} pb-1 pl-11 font-sans text-meta whitespace-normal`}
              >
                <span className={problem.severity === "error" ? "text-error" : "text-warn"}>
                  <span className="sr-only">{text.severity[problem.severity]}: </span>
                  {problem.severity === "error" ? "✕" : "△"} {problem.message} {problem.fix}
                </span>
              </div>
            ))}
          </Fragment>
        );
      })}
    </section>
  );
}

const marked = (problems: Problem[]) => {
  if (problems.length === 0) return "";
  const error = problems.some((problem) => problem.severity === "error");
  return error
    ? "bg-[color-mix(in_oklch,var(--error)_7%,transparent)]"
    : "bg-[color-mix(in_oklch,var(--warn)_8%,transparent)]";
};

function Line({ line, marks }: { line: string; marks: [number, number][] }) {
  const [mark] = marks;
  if (mark) {
    const [from, to] = [Math.max(0, mark[0]), Math.min(line.length, Math.max(mark[0] + 1, mark[1]))];
    return (
      <>
        {line.slice(0, from)}
        <span className="underline decoration-error decoration-wavy underline-offset-3">
          {line.slice(from, to)}
        </span>
        {line.slice(to)}
      </>
    );
  }
  const [, indent = "", key = "", rest = ""] = /^(\s*)([\w.-]+(?=\s*=))?(.*)$/.exec(line) ?? [];
  if (/^\s*#/.test(line)) return <span className="text-faint">{line}</span>;
  if (/^\s*\[/.test(line)) return <span className="font-semibold">{line}</span>;
  return (
    <>
      {indent}
      <span className="text-info">{key}</span>
      {rest || (line === "" && "\u200b")}
    </>
  );
}
