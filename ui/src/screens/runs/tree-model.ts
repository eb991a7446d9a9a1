// The part of a run's job tree that has been read: pages of children, opened where the user opens
// them. Steps come with the run; tasks are read a page at a time, so that a run of 100,000 tasks costs
// what is looked at.

import { asApiError, type Backend } from "../../backend/backend";
import type { ApiError, JobNode, JobStatus, StepView } from "../../backend/types";

export const PAGE = 500;

export type TreeFilter = { text: string; statuses: JobStatus[] };

type Children = {
  jobs: JobNode[];
  more: boolean;
  loading: boolean;
  error: ApiError | null;
  /** When its end was last read; see `#epoch`. */
  tail: number;
};

const ENDED: readonly JobStatus[] = ["completed", "failed", "cancelled", "skipped"];

export type TreeRow =
  | { kind: "step"; key: string; level: 1; step: StepView; open: boolean }
  | {
      kind: "task";
      key: string;
      level: number;
      job: JobNode;
      open: boolean;
      parent: string | null;
      at: number;
      short: string;
    }
  | { kind: "more"; key: string; level: number; list: string; loading: boolean }
  | { kind: "none"; key: string; level: number; list: string }
  | { kind: "error"; key: string; level: number; list: string; error: ApiError };

/** The list of all tasks that match the filter. */
const MATCHES = "";

export class TreeModel {
  readonly #lists = new Map<string, Children>();
  readonly #jobs = new Map<string, JobNode>();
  /** When each job was last read. */
  readonly #read = new Map<string, number>();
  /** Grows whenever the run may have changed. */
  #epoch = 0;
  /** Lists being read again now, with what is to be read after that. */
  readonly #refreshing = new Map<string, [from: number, to: number] | null>();
  readonly #open = new Set<string>();
  readonly #unfolded = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #filter: TreeFilter = { text: "", statuses: [] };
  #version = 0;

  constructor(
    readonly backend: Pick<Backend, "listJobs">,
    readonly run: string,
  ) {}

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  version = () => this.#version;

  get filtered(): boolean {
    return this.#filter.text !== "" || this.#filter.statuses.length > 0;
  }

  get matches(): Children | undefined {
    return this.#lists.get(MATCHES);
  }

  setFilter(filter: TreeFilter): void {
    this.#filter = filter;
    this.#lists.delete(MATCHES);
    if (this.filtered) void this.loadMore(MATCHES);
    else this.#changed();
  }

  /** A job that has been read. */
  find(id: string): JobNode | undefined {
    return this.#jobs.get(id);
  }

  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  setOpen(id: string, open: boolean): void {
    if (open === this.#open.has(id)) return;
    if (open) {
      this.#open.add(id);
      if (!this.#lists.has(id)) void this.loadMore(id);
    } else {
      this.#open.delete(id);
    }
    this.#changed();
  }

  /** Reads the next page of a list. */
  async loadMore(list: string): Promise<void> {
    const known = this.#lists.get(list) ?? { jobs: [], more: true, loading: false, error: null, tail: 0 };
    if (known.loading) return;
    this.#lists.set(list, { ...known, loading: true, error: null });
    this.#changed();
    const after = known.jobs.at(-1)?.id ?? null;
    await this.#ask(list, after, PAGE, (now, page) => ({
      ...now,
      jobs: [...now.jobs, ...page.jobs],
      more: page.more,
    }));
  }

  /** Says that the run may have changed. */
  touch(): void {
    this.#epoch += 1;
  }

  /** Reads again those of these rows that may have changed since they were read. */
  async freshen(rows: TreeRow[]): Promise<void> {
    const spans = new Map<string, [from: number, to: number]>();
    for (const row of rows) {
      const at = row.kind === "task" ? row.at : 0;
      const list = row.kind === "task" ? (row.parent ?? MATCHES) : row.kind === "none" ? row.list : null;
      if (list === null || !this.#isStale(row, list)) continue;
      const [from, to] = spans.get(list) ?? [at, at];
      spans.set(list, [Math.min(from, at), Math.max(to, at)]);
    }
    await Promise.all([...spans].map(([list, [from, to]]) => this.#refresh(list, from, to)));
  }

  #isStale(row: TreeRow, list: string): boolean {
    const children = this.#lists.get(list);
    if (!children || children.loading) return false;
    const grew = !children.more && children.tail < this.#epoch;
    if (row.kind !== "task") return grew;
    const last = row.at === children.jobs.length - 1;
    return (
      (last && grew) || (!ENDED.includes(row.job.status) && (this.#read.get(row.key) ?? 0) < this.#epoch)
    );
  }

  /** Rows are in the order of ids and none ever goes, so that they keep their places. */
  async #refresh(list: string, from: number, to: number): Promise<void> {
    if (this.#refreshing.has(list)) {
      this.#refreshing.set(list, [from, to]);
      return;
    }
    this.#refreshing.set(list, null);
    const known = this.#lists.get(list)?.jobs ?? [];
    if (list === MATCHES) {
      // What matched may not match any more: the beginning is read anew.
      await this.#ask(list, null, Math.min(1000, Math.max(PAGE, to + 1)), (now, page) => {
        const cut = now.jobs.findIndex((job) => job.id === page.jobs.at(-1)?.id);
        const rest = cut < 0 || !page.more ? [] : now.jobs.slice(cut + 1);
        return { ...now, jobs: [...page.jobs, ...rest], more: rest.length > 0 ? now.more : page.more };
      });
    } else {
      const limit = Math.min(1000, Math.max(PAGE, to - from + 1));
      await this.#ask(list, known[from - 1]?.id ?? null, limit, (now, page) => {
        const jobs = [...now.jobs];
        jobs.splice(from, page.jobs.length, ...page.jobs);
        return { ...now, jobs, more: from + page.jobs.length >= now.jobs.length ? page.more : now.more };
      });
    }
    const next = this.#refreshing.get(list);
    this.#refreshing.delete(list);
    if (next) await this.#refresh(list, ...next);
  }

  /** The rows to draw. */
  rows(steps: StepView[]): TreeRow[] {
    const rows: TreeRow[] = [];
    if (this.filtered) {
      this.#append(rows, MATCHES, 1, "");
      return rows;
    }
    for (const step of steps) {
      const open = this.#open.has(step.id);
      rows.push({ kind: "step", key: step.id, level: 1, step, open });
      if (open) this.#append(rows, step.id, 2, "");
    }
    return rows;
  }

  #append(rows: TreeRow[], list: string, level: number, above: string): void {
    const children = this.#lists.get(list);
    if (!children) return;
    const parent = list === MATCHES ? null : list;
    children.jobs.forEach((job, at) => {
      const open = this.#open.has(job.id) && list !== MATCHES;
      rows.push({ kind: "task", key: job.id, level, job, open, parent, at, short: shorten(job.name, above) });
      if (open) this.#append(rows, job.id, level + 1, job.name);
    });
    if (children.error) rows.push({ kind: "error", key: `${list}!`, level, list, error: children.error });
    else if (children.more)
      rows.push({ kind: "more", key: `${list}+`, level, list, loading: children.loading });
    else if (children.jobs.length === 0 && parent !== null)
      rows.push({ kind: "none", key: `${list}0`, level, list });
  }

  async #ask(
    list: string,
    after: string | null,
    limit: number,
    merge: (now: Children, page: { jobs: JobNode[]; more: boolean }) => Children,
  ): Promise<void> {
    const filter = this.#filter;
    const epoch = this.#epoch;
    const query =
      list === MATCHES
        ? { parent: null, statuses: filter.statuses, text: filter.text, after, limit }
        : { parent: list, statuses: [], text: "", after, limit };
    try {
      const page = await this.backend.listJobs(this.run, query);
      if (list === MATCHES && filter !== this.#filter) return;
      const now = this.#lists.get(list);
      if (now) {
        const merged = merge(now, page);
        this.#lists.set(list, {
          ...merged,
          loading: false,
          error: null,
          tail: page.more ? merged.tail : epoch,
        });
        for (const job of page.jobs) {
          this.#jobs.set(job.id, job);
          this.#read.set(job.id, epoch);
        }
        this.#unfold(list, page.jobs);
      }
    } catch (thrown) {
      if (list === MATCHES && filter !== this.#filter) return;
      const now = this.#lists.get(list);
      if (now) this.#lists.set(list, { ...now, loading: false, error: asApiError(thrown) });
    }
    this.#changed();
  }

  /** A step's only task, such as a folder, is opened once by itself. */
  #unfold(list: string, jobs: JobNode[]): void {
    const [only] = this.#lists.get(list)?.jobs ?? [];
    if (list === MATCHES || !only || jobs.length !== 1 || only.children === 0 || this.#unfolded.has(only.id))
      return;
    this.#unfolded.add(only.id);
    this.setOpen(only.id, true);
  }

  #changed(): void {
    this.#version += 1;
    for (const listener of this.#listeners) listener();
  }
}

/** What a name adds to the one above it: the rest of a path or of an address. */
function shorten(name: string, above: string): string {
  if (above === "" || !name.startsWith(above)) return name;
  return name.slice(above.length).replace(/^[/\\]+/, "") || name;
}
