// A log as it grows: virtual lines of one height, a filter, and a follow that lets go when one scrolls.

import { focusManager } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { useRem } from "../../appearance";
import { backend } from "../../backend";
import type { LogLevel, LogLine } from "../../backend/types";
import { logTime, number } from "../../format";
import { Button } from "../../parts/button";
import { SearchInput, Select } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { CopyButton, Empty, Failed, SkeletonRows } from "../../parts/states";
import { text } from "../../text";
import { LogModel } from "./log-model";

const LEVELS: LogLevel[] = ["debug", "info", "warn", "error"];
const colours: Record<LogLevel, string> = {
  debug: "text-faint",
  info: "text-muted",
  warn: "text-warn",
  error: "text-error",
};

export function useLog(run: string, job: string | null, level: LogLevel): LogModel {
  const model = useMemo(() => new LogModel(backend, run, job, level), [run, job, level]);
  useEffect(() => {
    const stop = model.start();
    const stopFocus = focusManager.subscribe((focused) => focused && void model.catchUp());
    return () => {
      stop();
      stopFocus();
    };
  }, [model]);
  useSyncExternalStore(model.subscribe, model.version);
  return model;
}

export function LogView({ run }: { run: string }) {
  const [level, setLevel] = useState<LogLevel>("info");
  const [filter, setFilter] = useState("");
  const log = useLog(run, null, level);
  const needle = filter.trim().toLowerCase();
  const lines = useMemo(
    () =>
      needle === "" ? log.lines : log.lines.filter((line) => line.message.toLowerCase().includes(needle)),
    [log.lines, needle],
  );
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-4 py-2">
        <SearchInput
          label={text.log.filterText}
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
          className="max-w-72 min-w-36 flex-1"
        />
        <Select
          label={text.log.level}
          value={level}
          options={LEVELS.map((one) => [one, text.levels[one]])}
          onChange={setLevel}
          className="w-28"
        />
        <span className="num flex-1 text-meta text-faint">
          {lines.length > 0 && text.log.lines(lines.length)}
        </span>
        {lines.length > 0 && (
          <CopyButton
            label={text.log.copy}
            value={() => lines.map((line) => `${line.at} ${line.level} ${line.message}`).join("\n")}
          />
        )}
      </div>
      {log.error ? (
        <Failed error={log.error} retry={() => void log.read()} />
      ) : log.loading && lines.length === 0 ? (
        <SkeletonRows rows={10} className="h-5" />
      ) : lines.length === 0 ? (
        needle !== "" || level !== "debug" ? (
          log.lines.length === 0 && needle === "" ? (
            <Empty icon="documents" title={text.log.none} />
          ) : (
            <Empty icon="filter" title={text.log.noMatch}>
              <Button onClick={() => setFilter("")}>{text.log.clear}</Button>
            </Empty>
          )
        ) : (
          <Empty icon="documents" title={text.log.none} />
        )
      ) : (
        <Lines
          key={`${level} ${needle}`}
          lines={lines}
          older={log.older}
          onOlder={() => void log.readOlder()}
          loading={log.loading}
        />
      )}
    </div>
  );
}

function Lines({
  lines,
  older,
  onOlder,
  loading,
}: {
  lines: LogLine[];
  older: boolean;
  onOlder: () => void;
  loading: boolean;
}) {
  const rem = useRem();
  const scroller = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const [left, setLeft] = useState(0);
  const top = useRef(0);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 1.25 * rem,
    overscan: 20,
    useFlushSync: false,
    getItemKey: (at) => lines[at]?.seq ?? at,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text size, other heights
  useEffect(() => virtual.measure(), [rem]);

  const toEnd = () => {
    const element = scroller.current;
    if (!element) return;
    element.scrollTop = element.scrollHeight;
    top.current = element.scrollTop;
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: after each new line
  useLayoutEffect(() => {
    if (follow) toEnd();
  }, [follow, lines, rem]);

  const last = lines.at(-1)?.seq ?? 0;
  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 1.25 * rem;
    const up = element.scrollTop < top.current - 1;
    top.current = element.scrollTop;
    if (atEnd) setFollow(true);
    else if (up && follow) {
      setFollow(false);
      setLeft(last);
    }
  };
  const fresh = follow ? 0 : lines.length - 1 - lines.findLastIndex((line) => line.seq <= left);

  return (
    <div className="relative flex min-h-0 flex-1 flex-col bg-bg0">
      {older && (
        <div className="flex items-center gap-3 border-b border-line px-4 py-1.5 text-meta text-muted">
          {text.log.older}
          <Button onClick={onOlder} busy={loading}>
            {text.log.loadOlder}
          </Button>
        </div>
      )}
      <div
        ref={scroller}
        role="log"
        aria-label={text.log.label}
        aria-live="off"
        tabIndex={0}
        onScroll={onScroll}
        className="min-h-0 flex-1 overflow-auto py-2 outline-offset-[-2px]"
      >
        <div className="relative min-w-full" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index];
            return (
              line && (
                <div
                  key={item.key}
                  className="absolute top-0 left-0 h-5 min-w-full px-4"
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <LogText line={line} />
                </div>
              )
            );
          })}
        </div>
      </div>
      <div className="absolute right-4 bottom-3 flex gap-2">
        <button
          type="button"
          aria-pressed={follow}
          onClick={() => {
            setFollow(!follow);
            setLeft(last);
          }}
          className="inline-flex h-6 items-center gap-1.5 rounded-l border border-edge bg-bg1 px-2.5 text-label text-muted hover:text-text aria-pressed:border-[color-mix(in_oklch,var(--accent)_45%,transparent)] aria-pressed:bg-[color-mix(in_oklch,var(--accent)_9%,var(--bg1))] aria-pressed:text-accent"
        >
          <Icon name={follow ? "check" : "toEnd"} className="size-3" />
          {text.log.follow}
          {fresh > 0 && <span className="num text-accent">{text.log.newLines(fresh)}</span>}
        </button>
      </div>
    </div>
  );
}

export function LogText({ line }: { line: LogLine }) {
  return (
    <span className="flex gap-3 font-mono text-[0.71875rem] leading-5 whitespace-pre [font-variant-ligatures:none]">
      <span className="text-faint">{logTime(line.at)}</span>
      <span className={`w-10.5 shrink-0 ${colours[line.level]}`}>{line.level}</span>
      <span className={line.level === "error" || line.level === "warn" ? colours[line.level] : ""}>
        {line.message}
      </span>
    </span>
  );
}

/** The log of one job: short, whole and without a toolbar. */
export function JobLog({ run, job }: { run: string; job: string }) {
  const log = useLog(run, job, "debug");
  if (log.error) return <Failed error={log.error} retry={() => void log.read()} />;
  if (log.lines.length === 0)
    return (
      <p className="px-4 py-2 text-meta text-faint">{log.loading ? text.tree.loading : text.task.noLog}</p>
    );
  return (
    <div
      role="log"
      aria-label={text.task.log}
      aria-live="off"
      tabIndex={0}
      className="min-h-0 flex-1 overflow-auto bg-bg0 px-4 py-2 outline-offset-[-2px]"
    >
      {log.lines.slice(-1000).map((line) => (
        <LogText key={line.seq} line={line} />
      ))}
      {log.lines.length > 1000 && <span className="text-meta text-faint">{number(log.lines.length)}</span>}
    </div>
  );
}
