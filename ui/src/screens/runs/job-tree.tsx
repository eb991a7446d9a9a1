// The tree of a run's jobs: virtual rows, read lazily, moved through by the keys of the ARIA tree
// pattern. The focus stays on the tree, which names its active row.

import { focusManager } from "@tanstack/react-query";
import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import {
  type KeyboardEvent,
  useCallback,
  useEffect,
  useId,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { useRem } from "../../appearance";
import { backend } from "../../backend";
import type { JobStatus, StepView } from "../../backend/types";
import { useNow, useSettled } from "../../data/hooks";
import { clock, took, whenNext } from "../../format";
import { Button } from "../../parts/button";
import { SearchInput, Select } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { doneTasks, ProgressBar } from "../../parts/progress";
import { Empty, InlineError } from "../../parts/states";
import { StatusShape } from "../../parts/status";
import { text } from "../../text";
import { TreeModel, type TreeRow } from "./tree-model";

const STATUSES: JobStatus[] = [
  "running",
  "waiting",
  "pending",
  "completed",
  "failed",
  "cancelled",
  "skipped",
];

type Props = {
  run: string;
  steps: StepView[];
  live: boolean;
  selected: string | null;
  onSelect: (id: string) => void;
  model: TreeModel;
};

export function useTreeModel(run: string, steps: StepView[] | undefined): TreeModel {
  const model = useMemo(() => new TreeModel(backend, run), [run]);
  const opened = useRef(new Set<string>());
  // A step is opened once, when it first does something.
  useEffect(() => {
    for (const step of steps ?? []) {
      if (step.jobs.total === 0 || opened.current.has(step.id)) continue;
      opened.current.add(step.id);
      if (step.type !== "reindex" || steps?.length === 1) model.setOpen(step.id, true);
    }
  }, [model, steps]);
  return model;
}

export function JobTree({ run, steps, live, selected, onSelect, model }: Props) {
  useSyncExternalStore(model.subscribe, model.version);
  const id = useId();
  const rem = useRem();
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<string | null>(null);
  const [filter, setFilter] = useState<{ text: string; status: JobStatus | "" }>({ text: "", status: "" });
  const needle = useSettled(filter.text.trim(), 150);
  const rows = model.rows(steps);
  const activeAt = Math.max(
    0,
    rows.findIndex((row) => row.key === active),
  );

  useEffect(() => {
    model.setFilter({ text: needle, statuses: filter.status === "" ? [] : [filter.status] });
  }, [model, needle, filter.status]);

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 1.75 * rem,
    overscan: 12,
    useFlushSync: false,
    getItemKey: (at) => rows[at]?.key ?? at,
    // The active row is always in the page, or there would be nothing to name.
    rangeExtractor: useCallback(
      (range: Range) =>
        [...new Set([...defaultRangeExtractor(range), activeAt])]
          .filter((at) => at < range.count)
          .sort((a, b) => a - b),
      [activeAt],
    ),
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text size, other heights
  useEffect(() => virtual.measure(), [rem]);
  const items = virtual.getVirtualItems();

  useReadingOnSight(model, rows, items);
  useFreshRows(
    model,
    run,
    live,
    items.flatMap(({ index }) => rows[index] ?? []),
  );

  const moveTo = (at: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, at))];
    if (!row) return;
    setActive(row.key);
    virtual.scrollToIndex(rows.indexOf(row));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[activeAt];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / (1.75 * rem)) - 1);
    switch (event.key) {
      case "ArrowDown":
        moveTo(activeAt + 1);
        break;
      case "ArrowUp":
        moveTo(activeAt - 1);
        break;
      case "PageDown":
        moveTo(activeAt + page);
        break;
      case "PageUp":
        moveTo(activeAt - page);
        break;
      case "Home":
        moveTo(0);
        break;
      case "End":
        moveTo(rows.length - 1);
        break;
      case "ArrowRight":
        if (isOpen(row)) moveTo(activeAt + 1);
        else if (canOpen(row)) model.setOpen(row.key, true);
        break;
      case "ArrowLeft":
        if (isOpen(row)) model.setOpen(row.key, false);
        else moveTo(rows.findLastIndex((above, at) => at < activeAt && above.level < row.level));
        break;
      case "Enter":
      case " ":
        act(row);
        break;
      default:
        return;
    }
    event.preventDefault();
  };
  const act = (row: TreeRow) => {
    setActive(row.key);
    if (row.kind === "step" || row.kind === "task") onSelect(row.key);
    else if (row.kind !== "none") void model.loadMore(row.list);
  };

  const nothing =
    rows.length === 0 || (model.filtered && model.matches?.jobs.length === 0 && !model.matches.more);
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-4 py-2">
        <SearchInput
          label={text.tree.filterText}
          value={filter.text}
          onChange={(event) => setFilter({ ...filter, text: event.target.value })}
          className="max-w-72 min-w-36 flex-1"
        />
        <Select
          label={text.tree.status}
          value={filter.status}
          options={[
            ["", text.tree.anyStatus],
            ...STATUSES.map((one): [JobStatus, string] => [one, text.status[one]]),
          ]}
          onChange={(status) => setFilter({ ...filter, status })}
          className="w-44"
        />
        <div role="status" className="num text-meta text-faint">
          {model.filtered &&
            model.matches &&
            !nothing &&
            text.tree.matches(model.matches.jobs.length, model.matches.more)}
        </div>
      </div>
      {nothing ? (
        <div className="min-h-0 flex-1 overflow-y-auto">
          {model.filtered ? (
            <Empty icon="filter" title={text.tree.noMatch}>
              <Button onClick={() => setFilter({ text: "", status: "" })}>{text.tree.clear}</Button>
            </Empty>
          ) : (
            <Empty icon="jobs" title={text.tree.none} about={text.tree.noneAbout} />
          )}
        </div>
      ) : (
        <div
          ref={scroller}
          role="tree"
          aria-label={text.tree.label}
          aria-activedescendant={rows[activeAt] && `${id}-${rows[activeAt].key}`}
          tabIndex={0}
          onKeyDown={onKeyDown}
          className="group/tree min-h-0 flex-1 overflow-x-hidden overflow-y-auto outline-offset-[-2px]"
        >
          <div role="presentation" className="relative w-full" style={{ height: virtual.getTotalSize() }}>
            {items.map((item) => {
              const row = rows[item.index];
              if (!row) return null;
              return (
                <Row
                  key={item.key}
                  id={`${id}-${row.key}`}
                  row={row}
                  top={item.start}
                  live={live}
                  active={item.index === activeAt}
                  selected={row.key === selected}
                  onToggle={() => {
                    setActive(row.key);
                    model.setOpen(row.key, !isOpen(row));
                  }}
                  onAct={() => act(row)}
                />
              );
            })}
          </div>
        </div>
      )}
    </div>
  );
}

const isOpen = (row: TreeRow) => (row.kind === "step" || row.kind === "task") && row.open;
const canOpen = (row: TreeRow) =>
  row.kind === "step" ? row.step.jobs.total > 0 : row.kind === "task" && row.job.children > 0;

type RowProps = {
  id: string;
  row: TreeRow;
  top: number;
  live: boolean;
  active: boolean;
  selected: boolean;
  onToggle: () => void;
  onAct: () => void;
};

function Row({ id, row, top, live, active, selected, onToggle, onAct }: RowProps) {
  const openable = canOpen(row);
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus and names its active row
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the tree's
    <div
      id={id}
      role="treeitem"
      aria-level={row.level}
      aria-selected={selected}
      aria-expanded={openable ? isOpen(row) : undefined}
      onClick={onAct}
      className={`absolute inset-x-0 flex h-7 items-center gap-1.5 pr-4 ${selected ? "selected" : "hover:bg-bg0"} ${active ? "group-focus-visible/tree:shadow-[inset_2px_0_0_var(--accent)] group-focus-visible/tree:bg-bg2" : ""}`}
      style={{ transform: `translateY(${top}px)`, paddingLeft: `${0.5 + (row.level - 1) * 1.125}rem` }}
    >
      {openable ? (
        <span
          aria-hidden="true"
          className="grid size-6 shrink-0 place-items-center rounded-s text-faint hover:text-text"
          onClick={(event) => {
            event.stopPropagation();
            onToggle();
          }}
        >
          <Icon name={isOpen(row) ? "down" : "right"} className="size-3.5" />
        </span>
      ) : (
        <span className="w-6 shrink-0" />
      )}
      <Content row={row} live={live} />
    </div>
  );
}

function Content({ row, live }: { row: TreeRow; live: boolean }) {
  switch (row.kind) {
    case "step": {
      const { step } = row;
      return (
        <>
          <StatusShape status={step.status} />
          <span className="font-medium">{step.name}</span>
          <span className="sr-only">, {text.status[step.status]}, </span>
          <span className="font-mono text-label text-faint @max-[36rem]/main:hidden">{step.type}</span>
          <span
            className={`min-w-0 flex-1 truncate text-meta ${step.status === "failed" ? "text-error" : "text-faint"}`}
          >
            {step.error?.message ?? aside(step)}
          </span>
          {step.jobs.total > 0 && (
            <>
              <ProgressBar jobs={step.jobs} className="h-1 w-20 shrink-0 @max-[36rem]/main:hidden" />
              <span className="num w-24 shrink-0 text-right text-meta text-muted">
                {text.tree.step(doneTasks(step.jobs), step.jobs.total)}
              </span>
            </>
          )}
          <span className="num w-14 shrink-0 text-right text-meta text-faint">
            <Took started={step.started} finished={step.finished} live={live} />
          </span>
        </>
      );
    }
    case "task": {
      const { job } = row;
      return (
        <>
          <StatusShape status={job.status} />
          <span className="min-w-0 shrink truncate" title={job.name}>
            {row.short}
          </span>
          <span className="sr-only">, {text.status[job.status]}</span>
          <span className="min-w-0 flex-1 truncate text-meta text-error" title={job.error?.message}>
            {job.error && withoutName(job.error.message, job.name)}
          </span>
          {job.attempt > 1 && (
            <span className="num shrink-0 text-meta text-warn">{text.tree.columns.attempt(job.attempt)}</span>
          )}
          {job.children > 0 && (
            <span className="num shrink-0 text-meta text-faint">
              {text.task.childCounts(job.open_children, job.children)}
            </span>
          )}
          <span className="num w-14 shrink-0 text-right text-meta text-faint">
            <Took started={job.started} finished={job.finished} live={live && job.status === "running"} />
          </span>
        </>
      );
    }
    case "more":
      return <span className="text-muted">{text.tree.loading}</span>;
    case "none":
      return <span className="text-faint">{text.tree.empty}</span>;
    case "error":
      return (
        <>
          <InlineError error={row.error} />
          <span className="text-meta text-accent">{text.failed.retry}</span>
        </>
      );
  }
}

/** What else is worth knowing of a step that has not failed. */
function aside(step: StepView): string | null {
  if (step.reused_from !== null) return text.tree.reused(step.reused_from);
  const retried = step.attempt > 1 && text.tree.attempt(step.attempt, step.max_attempts);
  const next = step.next_attempt !== null && text.tree.next(whenNext(step.next_attempt));
  return [retried, next].filter(Boolean).join(" · ") || null;
}

/** The row begins with the name already. */
const withoutName = (message: string, name: string) =>
  message
    .replace(name, "")
    .replace(/\s{2,}/g, " ")
    .trim();

function Took({
  started,
  finished,
  live,
}: {
  started: string | null;
  finished: string | null;
  live: boolean;
}) {
  const open = live && started !== null && finished === null;
  const now = useNow(open);
  if (started === null) return null;
  if (finished !== null) return took(Date.parse(finished) - Date.parse(started));
  return open ? clock(now - Date.parse(started)) : null;
}

/** Reads the next page of a list when the row that stands for it comes into view. */
function useReadingOnSight(model: TreeModel, rows: TreeRow[], items: { index: number }[]): void {
  useEffect(() => {
    for (const { index } of items) {
      const row = rows[index];
      if (row?.kind === "more" && !row.loading) void model.loadMore(row.list);
    }
  });
}

/** Reads the rows in view again when their run has moved: with the clock, at its end, and on scroll. */
function useFreshRows(model: TreeModel, run: string, live: boolean, inView: TreeRow[]): void {
  const view = useRef(inView);
  view.current = inView;
  const now = useNow(live);
  const first = inView[0]?.key;

  useEffect(() => {
    const freshen = () => {
      model.touch();
      void model.freshen(view.current);
    };
    const stop = backend.subscribe((happening) => {
      if (happening.kind === "missed") freshen();
      if (happening.kind === "progress" && happening.progress.run.id === run) model.touch();
      if (happening.kind === "status" && happening.change.run_id === run) freshen();
    });
    const stopFocus = focusManager.subscribe((focused) => focused && freshen());
    return () => {
      stop();
      stopFocus();
    };
  }, [model, run]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each second of a live run, and on scroll
  useEffect(() => void model.freshen(view.current), [model, now, first]);
}
