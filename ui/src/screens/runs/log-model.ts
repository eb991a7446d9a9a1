// The lines of a log that have been read. They grow by events; when lines may have been missed, what
// follows the last line that was surely read is read again.

import { asApiError, type Backend } from "../../backend/backend";
import type { ApiError, LogLevel, LogLine } from "../../backend/types";

export const NEWEST = 5_000;
const MOST = 50_000;
/** As many lines as one event can hold; then there may be more. */
const EVENT_MAX = 500;
const LEVELS: LogLevel[] = ["debug", "info", "warn", "error"];

export class LogModel {
  lines: LogLine[] = [];
  /** Whether lines older than the first one are not here. */
  older = false;
  loading = true;
  error: ApiError | null = null;
  /** Up to here no line is missing. */
  #sure = 0;
  #reading = false;
  #again = false;
  #version = 0;
  #stopped = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly backend: Pick<Backend, "readLog" | "subscribe">,
    readonly run: string,
    readonly job: string | null,
    readonly minLevel: LogLevel,
  ) {}

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  version = () => this.#version;

  /** Begins to read and to listen; the returned function ends both. */
  start(): () => void {
    this.#stopped = false;
    const stop = this.backend.subscribe((happening) => {
      if (happening.kind === "missed") void this.catchUp();
      if (happening.kind === "log" && happening.appended.run_id === this.run)
        this.#add(happening.appended.lines);
    });
    void this.read();
    return () => {
      this.#stopped = true;
      stop();
    };
  }

  /** Reads the newest lines. */
  async read(): Promise<void> {
    this.loading = true;
    this.error = null;
    this.#changed();
    await this.#ask(async () => {
      const page = await this.backend.readLog(this.#query(null));
      this.#merge(page.lines);
      this.older = page.more;
    });
    this.loading = false;
    this.#changed();
  }

  /** Reads what follows the last line that was surely read. */
  async catchUp(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    await this.#ask(async () => {
      for (let more = true; more && !this.#stopped; ) {
        const page = await this.backend.readLog(this.#query(this.#sure));
        this.#merge(page.lines);
        more = page.more;
      }
    });
    this.#changed();
  }

  /** Reads from the first line on, as far as there is room. */
  async readOlder(): Promise<void> {
    const first = this.lines[0]?.seq ?? 0;
    this.loading = true;
    this.#changed();
    await this.#ask(async () => {
      const read: LogLine[] = [];
      for (let after = 0, more = true; more && read.length < MOST; ) {
        const page = await this.backend.readLog(this.#query(after));
        const wanted = page.lines.filter((line) => line.seq < first);
        read.push(...wanted);
        after = page.lines.at(-1)?.seq ?? after;
        more = page.more && wanted.length === page.lines.length;
      }
      this.lines = [...read, ...this.lines];
      this.older = false;
    });
    this.loading = false;
    this.#changed();
  }

  #query(after: number | null) {
    return { run: this.run, job: this.job, min_level: this.minLevel, after, limit: NEWEST };
  }

  async #ask(work: () => Promise<void>): Promise<void> {
    this.#reading = true;
    try {
      await work();
      this.error = null;
    } catch (thrown) {
      this.error = asApiError(thrown);
    }
    this.#reading = false;
    if (!this.#again || this.#stopped) return;
    this.#again = false;
    await this.catchUp();
  }

  #add(all: LogLine[]): void {
    const lines = all.filter(
      (line) =>
        LEVELS.indexOf(line.level) >= LEVELS.indexOf(this.minLevel) &&
        (this.job === null || line.job_id === this.job),
    );
    const last = this.lines.at(-1)?.seq ?? 0;
    const fresh = lines.filter((line) => line.seq > last);
    if (fresh.length > 0) {
      this.lines = trim([...this.lines, ...fresh]);
      this.#changed();
    }
    if (all.length >= EVENT_MAX) void this.catchUp();
  }

  #merge(read: LogLine[]): void {
    this.#sure = Math.max(this.#sure, read.at(-1)?.seq ?? 0);
    const last = this.lines.at(-1)?.seq ?? 0;
    if (this.lines.length === 0 || (read[0]?.seq ?? 0) > last) {
      this.lines = trim([...this.lines, ...read]);
      return;
    }
    const all = new Map([...this.lines, ...read].map((line) => [line.seq, line]));
    this.lines = trim([...all.values()].sort((a, b) => a.seq - b.seq));
  }

  #changed(): void {
    this.#version += 1;
    for (const listener of this.#listeners) listener();
  }
}

const trim = (lines: LogLine[]) => (lines.length > MOST ? lines.slice(-MOST) : lines);
