// One run of the in-memory engine: a tree of jobs that moves on by ticks.

import type {
  DocumentCounts,
  HostRequests,
  JobCounts,
  JobError,
  JobNode,
  JobStatus,
  LogLevel,
  LogLine,
  OnError,
  RunStatistics,
  RunStatus,
  RunSummary,
  RunView,
  StartedBy,
  StepView,
} from "../types";
import { page } from "./corpus";

const WIDTH = 4;
const ENDED: JobStatus[] = ["completed", "failed", "cancelled", "skipped"];

export type Saved = "created" | "updated" | "unchanged";

/** What a run needs of the engine around it. */
export interface Host {
  nextId(): string;
  nextSeq(): number;
  now(): string;
  save(
    run: FakeRun,
    document: { source_type: string; source_id: string; url: string | null; page: number },
  ): { id: string; saved: Saved };
}

type StepPlan = {
  name: string;
  type: string;
  description: string;
  depends: string[];
  on_error: OnError;
  max_attempts: number;
  condition: string;
};

/** Where a run comes from. */
export type Cause = { started_by: StartedBy; rerun_of: string | null; parent_run: string | null };
export const BY_HAND: Cause = { started_by: "manual", rerun_of: null, parent_run: null };

export class FakeRun {
  readonly id: string;
  readonly started: string;
  status: RunStatus = "running";
  finished: string | null = null;
  error: JobError | null = null;
  readonly warnings: string[] = [];
  readonly steps: StepView[] = [];
  given: [string, string][] = [];
  readonly tasks: JobNode[] = [];
  readonly log: LogLine[] = [];
  readonly #byId = new Map<string, JobNode>();
  readonly #children = new Map<string, JobNode[]>();
  readonly #active: JobNode[] = [];
  /** Where the next unstarted task of the list is; tasks start in order. */
  #cursor = 0;

  constructor(
    readonly host: Host,
    readonly definition: { id: string; name: string; text: string; steps: StepPlan[] },
    readonly variables: [string, string][],
    readonly size: number,
    readonly cause: Cause = BY_HAND,
  ) {
    this.given = variables;
    this.id = host.nextId();
    this.started = host.now();
    for (const plan of definition.steps) {
      this.steps.push({
        ...plan,
        id: host.nextId(),
        status: "pending",
        jobs: counts(),
        documents: { created: 0, updated: 0, unchanged: 0 },
        error: null,
        started: null,
        finished: null,
        always_run: false,
        attempt: 0,
        next_attempt: null,
        reused_from: null,
        runs: [],
      });
    }
    this.note("info", `accepted ${definition.name}`);
  }

  get subject(): string {
    return this.variables[0]?.[1] ?? "";
  }

  summary(nowMs: number): RunSummary {
    const end = this.finished ? Date.parse(this.finished) : nowMs;
    return {
      id: this.id,
      definition_id: this.definition.id,
      name: this.definition.name,
      subject: this.subject,
      status: this.status,
      started: this.started,
      finished: this.finished,
      duration_ms: Math.max(0, end - Date.parse(this.started)),
      jobs: this.steps.map((step) => step.jobs).reduce(addCounts, counts()),
      documents: this.steps
        .map((step) => step.documents)
        .reduce(addDocuments, { created: 0, updated: 0, unchanged: 0 }),
      warnings: this.warnings.length,
      error: this.error,
      ...this.cause,
    };
  }

  view(nowMs: number): RunView {
    return structuredClone({
      summary: this.summary(nowMs),
      steps: this.steps,
      variables: this.variables,
      given: this.given,
      definition_text: this.definition.text,
      warnings: this.warnings.slice(0, 100),
    });
  }

  children(parent: string): JobNode[] {
    return this.#children.get(parent) ?? [];
  }

  /** Moves on by one tick: ends what runs, starts what waits. */
  tick(): void {
    if (this.status !== "running") return;
    for (const task of this.#active.splice(0)) this.#end(task);
    const open = this.steps.find((step) => !ENDED.includes(step.status));
    if (!open) return;
    if (open.status === "pending") this.#begin(open);
    else if (this.#cursor >= this.tasks.length && this.#active.length === 0) this.#finishStep(open);
    while (this.#active.length < WIDTH && this.#cursor < this.tasks.length) {
      const task = this.tasks[this.#cursor++];
      if (task?.status !== "pending") continue;
      this.#move(task, "running");
      task.started = this.host.now();
      task.attempt += 1;
      this.#active.push(task);
    }
    if (this.steps.every((step) => ENDED.includes(step.status))) this.#settle();
  }

  cancel(): void {
    this.#active.length = 0;
    for (const task of this.tasks) if (!ENDED.includes(task.status)) this.#move(task, "cancelled");
    for (const step of this.steps) {
      if (ENDED.includes(step.status)) continue;
      step.status = step.status === "pending" ? "skipped" : "cancelled";
      step.finished = this.host.now();
    }
    this.note("warn", "cancelled by the user");
    this.#close("cancelled");
  }

  /** As after a kill: running tasks wait again, and no process works on it. */
  interrupt(): void {
    for (const task of this.#active.splice(0).reverse()) this.#move(task, "pending");
    this.#cursor = 0;
    this.status = "interrupted";
  }

  pause(): void {
    for (const task of this.#active.splice(0)) this.#end(task);
    this.status = "paused";
    this.note("info", "paused by the user");
  }

  /** Waits for an earlier run of the same definition. */
  queue(): void {
    this.status = "queued";
  }

  /** Works until it has ended. */
  finish(): void {
    for (let n = 0; n < 1_000 && this.status === "running"; n += 1) this.tick();
  }

  /** Takes the results of steps of an earlier run for its own. */
  reuse(earlier: FakeRun, keeps: (step: StepView) => boolean): void {
    for (const step of this.steps) {
      const before = earlier.steps.find((one) => one.name === step.name);
      if (!before || !keeps(before)) continue;
      step.status = "completed";
      step.finished = this.host.now();
      step.reused_from = before.reused_from ?? earlier.id;
      this.note("info", `step ${step.name} is taken from run ${earlier.id}`, step.id);
    }
  }

  /** As after a failure that is tried again: the step waits for its next attempt. */
  retryLater(step: string, minutes: number): void {
    const view = this.steps.find((one) => one.name === step);
    if (!view) return;
    view.attempt = 1;
    view.next_attempt = new Date(Date.parse(this.host.now()) + minutes * 60_000).toISOString();
  }

  statistics(): RunStatistics {
    const took = (task: JobNode) =>
      task.started && task.finished ? Date.parse(task.finished) - Date.parse(task.started) : 0;
    const ended = this.tasks.filter((task) => ENDED.includes(task.status));
    const types = [...new Set(this.tasks.map((task) => task.type))].map((type) => {
      const of = this.tasks.filter((task) => task.type === type);
      const jobs = counts();
      for (const task of of) {
        jobs.total += 1;
        jobs[task.status] += 1;
      }
      const times = of.filter((task) => ENDED.includes(task.status)).map(took);
      const mean_ms = Math.round(times.reduce((sum, ms) => sum + ms, 0) / Math.max(1, times.length));
      return { type, jobs, mean_ms };
    });
    const failures = new Map<string, { code: string; count: number; example: JobNode }>();
    for (const task of ended) {
      if (task.error === null) continue;
      const known = failures.get(task.error.code);
      if (known) known.count += 1;
      else failures.set(task.error.code, { code: task.error.code, count: 1, example: { ...task } });
    }
    const slowest = [...ended].sort((a, b) => took(b) - took(a)).slice(0, 10);
    return structuredClone({
      types,
      slowest,
      failures: [...failures.values()],
      requests: this.#requests(ended),
    });
  }

  /** What a run of pages has asked: one host, whose answers are the ends of its tasks. */
  #requests(ended: JobNode[]): HostRequests[] {
    const visits = ended.filter((task) => task.name.startsWith("http"));
    const [first] = visits;
    if (!first) return [];
    const failed = visits.filter((task) => task.status === "failed").length;
    const answers = [
      { answer: "200", count: visits.length - failed },
      { answer: "connect", count: failed },
    ].filter(({ count }) => count > 0);
    return [
      {
        step: this.steps[0]?.name ?? "",
        host: new URL(first.name).host,
        count: visits.length,
        answers: answers.sort((a, b) => b.count - a.count),
        bytes: visits.length * 24_000,
        average_ms: 84,
        slowest_ms: 910,
        slowest: first.name,
      },
    ];
  }

  note(level: LogLevel, message: string, job: string | null = null): void {
    this.log.push({ seq: this.host.nextSeq(), at: this.host.now(), level, job_id: job, message });
  }

  #begin(step: StepView): void {
    const failed = step.depends
      .map((name) => this.steps.find((other) => other.name === name))
      .find((other) => other?.status === "failed");
    if (failed) {
      step.status = "skipped";
      step.error = { code: "dependency_failed", message: `The step ${failed.name} failed.` };
      return;
    }
    step.status = "waiting";
    step.attempt += 1;
    step.next_attempt = null;
    step.started = this.host.now();
    this.note("info", `step ${step.name} starts`, step.id);
    this.#spawn(step, null, step.type === "reindex" ? "full-text index" : this.subject, step.type);
  }

  #spawn(step: StepView, parent: JobNode | null, name: string, type: string): void {
    const node: JobNode = {
      id: this.host.nextId(),
      parent_id: parent?.id ?? step.id,
      kind: "task",
      type,
      name,
      status: "pending",
      depth: parent ? parent.depth + 1 : 0,
      attempt: 0,
      children: 0,
      open_children: 0,
      error: null,
      started: null,
      finished: null,
      document_id: null,
    };
    this.tasks.push(node);
    this.#byId.set(node.id, node);
    const key = node.parent_id as string;
    const siblings = this.#children.get(key);
    if (siblings) siblings.push(node);
    else this.#children.set(key, [node]);
    step.jobs.total += 1;
    step.jobs.pending += 1;
    if (parent) {
      parent.children += 1;
      parent.open_children += 1;
    }
  }

  #end(task: JobNode): void {
    const step = this.#stepOf(task);
    if (task.depth === 0 && /missing|down/.test(this.subject) && step.type !== "reindex") {
      const error =
        step.type === "crawl"
          ? { code: "cannot_connect", message: `${this.subject} does not answer: connection refused.` }
          : {
              code: "folder_not_found",
              message: `The folder ${this.subject} does not exist. Check the path, and that its drive is connected.`,
            };
      task.error = error;
      this.note("error", error.message, task.id);
      this.#move(task, "failed");
      step.error = error;
      return;
    }
    if (/flawed/.test(this.subject) && task.depth > 0 && this.tasks.indexOf(task) % 9 === 5) {
      task.error = { code: "permission_denied", message: `${task.name} cannot be read: permission denied.` };
      this.warnings.push(task.error.message);
      this.note("warn", task.error.message, task.id);
      this.#move(task, "failed");
      return;
    }
    this.#work(step, task);
    this.#move(task, task.open_children > 0 ? "waiting" : "completed");
  }

  #work(step: StepView, task: JobNode): void {
    if (step.type === "reindex") {
      this.note("info", "index rebuilt and proved", task.id);
      return;
    }
    const index = Number(step.jobs.total) === 1 ? 0 : this.tasks.indexOf(task);
    const web = step.type === "crawl";
    if (web || task.depth > 0) {
      const { id, saved } = this.host.save(this, {
        source_type: web ? "web" : "file",
        source_id: task.name,
        url: web ? task.name : null,
        page: web ? index : index - 1,
      });
      task.document_id = id;
      step.documents[saved] += 1;
      this.note("info", `${saved === "unchanged" ? "unchanged" : "saved"} ${task.name}`, task.id);
      this.note("debug", `${1200 + ((index * 397) % 9000)} bytes in ${3 + (index % 17)} ms`, task.id);
    }
    if (task.depth === 0) {
      const names = Array.from({ length: this.size }, (_, n) =>
        web
          ? new URL(page(n + 1).name.replace(/\.\w+$/, "/"), this.subject).href
          : `${this.subject.replace(/\/$/, "")}/${page(n).name}`,
      );
      const direct = web ? names.slice(0, Math.ceil(this.size / 3)) : names;
      for (const name of direct) this.#spawn(step, task, name, web ? "fetch" : "read_file");
      this.note("info", `${direct.length} found in ${this.subject}`, task.id);
    } else if (web && task.depth === 1) {
      for (let n = 0; n < 2; n += 1) this.#spawn(step, task, `${task.name}page-${n + 2}/`, "fetch");
    }
  }

  #finishStep(step: StepView): void {
    const failed = step.error !== null;
    step.status = failed ? "failed" : "completed";
    step.finished = this.host.now();
    this.note(failed ? "error" : "info", `step ${step.name} ${step.status}`, step.id);
  }

  #settle(): void {
    const failed = this.steps.find((step) => step.status === "failed");
    this.error = failed?.error ?? null;
    this.#close(failed ? "failed" : "completed");
  }

  #close(status: RunStatus): void {
    this.status = status;
    this.finished = this.host.now();
    this.note(status === "failed" ? "error" : "info", `run ${status}`);
  }

  /** The one place where a task changes state: it moves the counters with it, and ends its parent. */
  #move(task: JobNode, status: JobStatus): void {
    const step = this.#stepOf(task);
    step.jobs[task.status] -= 1;
    step.jobs[status] += 1;
    task.status = status;
    if (!ENDED.includes(status)) return;
    task.finished = this.host.now();
    const parent = this.#byId.get(task.parent_id ?? "");
    if (!parent) return;
    parent.open_children -= 1;
    if (parent.open_children === 0 && parent.status === "waiting") this.#move(parent, "completed");
  }

  #stepOf(task: JobNode): StepView {
    let at: JobNode = task;
    for (;;) {
      const up = this.#byId.get(at.parent_id ?? "");
      if (!up) break;
      at = up;
    }
    const step = this.steps.find((candidate) => candidate.id === at.parent_id);
    if (!step) throw new Error(`task ${task.id} has no step`);
    return step;
  }
}

function counts(): JobCounts {
  return { total: 0, pending: 0, running: 0, waiting: 0, completed: 0, failed: 0, cancelled: 0, skipped: 0 };
}

function addCounts(a: JobCounts, b: JobCounts): JobCounts {
  const sum = counts();
  for (const key of Object.keys(sum) as (keyof JobCounts)[]) sum[key] = a[key] + b[key];
  return sum;
}

function addDocuments(a: DocumentCounts, b: DocumentCounts): DocumentCounts {
  return {
    created: a.created + b.created,
    updated: a.updated + b.updated,
    unchanged: a.unchanged + b.unchanged,
  };
}
