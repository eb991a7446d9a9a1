// An in-memory backend that behaves like the engine: runs advance, events are told, cancel works,
// search filters, and errors can be provoked. For development and tests; not in the product.

import { asApiError, type Backend, type Happening } from "../backend";
import type {
  ApiError,
  DefinitionSummary,
  DefinitionView,
  DocumentView,
  ErrorCode,
  ImportProfile,
  JobPage,
  JobQuery,
  KeepKey,
  KeyPlace,
  LogPage,
  LogQuery,
  RerunRequest,
  RunRequest,
  RunSummary,
  RunView,
  SearchRequest,
  SearchResults,
  Settings,
} from "../types";
import { page, toHtml, toMarkdown, toText } from "./corpus";
import { diff } from "./diff";
import { error, notFound } from "./errors";
import { FakeLibrary } from "./library";
import { BY_HAND, type Cause, FakeRun, type Host, type Saved } from "./run";
import { type StoredDocument, search } from "./search";
import { FakeServices } from "./services";

type Stored = StoredDocument & { page: number; fetched: string };
export type Method = Exclude<keyof Backend, "subscribe">;

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type FakeOptions = {
  /** Milliseconds between ticks; `null` moves only on `advance`. */
  tickMs: number | null;
  /** How many files or first links a run finds. */
  size: number;
};

export class FakeBackend implements Backend, Host {
  readonly library = new FakeLibrary(
    () => this.now(),
    (ids) => this.tell({ kind: "definitions", changed: { ids, templates: [] } }),
  );
  readonly services = new FakeServices();
  readonly opened: string[] = [];
  readonly ready = { count: 0 };
  /** What keeps the data from being used at all. */
  broken: ApiError | null = null;
  /** What a step needs and is not set up. */
  missing: string | null = null;
  folderToChoose: string | null = "/home/you/Documents/energy";
  readonly #options: FakeOptions;
  /** Whether the user picks a file when asked for one. */
  picksFile = true;
  #runs: FakeRun[] = [];
  readonly #requests = new Map<string, string>();
  readonly #documents = new Map<string, Stored>();
  readonly #listeners = new Set<(happening: Happening) => void>();
  readonly #failures = new Map<Method, ApiError>();
  readonly #hanging = new Set<Method>();
  #settings: Settings = {
    theme: "system",
    values: { company: "Acme" },
    keep_runs: null,
    keep_days: null,
    providers: {},
    search_order: [],
    mail: {},
  };
  #paused = false;
  /** Added to that of every document. */
  metadata: Record<string, unknown> = {};
  /** What work waits for, as last told. */
  waits: ApiError | null = null;
  #id = 100;
  #seq = 0;
  #shift = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #silent = false;

  get definitions(): DefinitionView[] {
    return this.library.definitions;
  }

  constructor(options: Partial<FakeOptions> = {}) {
    this.#options = { tickMs: null, size: 24, ...options };
  }

  // What tests use.

  /** Moves every live run on. */
  advance(ticks = 1): void {
    for (let n = 0; n < ticks; n += 1) for (const run of this.#runs) this.#tick(run);
  }

  /** Makes a method fail until it is called with `null`. */
  fail(method: Method, error: { code: ErrorCode; message: string; hint?: string } | null): void {
    if (error) this.#failures.set(method, { hint: null, where: null, ...error });
    else this.#failures.delete(method);
  }

  /** Makes a method never answer. */
  hang(method: Method): void {
    this.#hanging.add(method);
  }

  /** Runs while no event reaches anyone, then tells that some were lost. */
  loseEvents(during: () => void): void {
    this.#silent = true;
    during();
    this.#silent = false;
  }

  tell(happening: Happening): void {
    if (happening.kind === "waits") this.waits = happening.error;
    if (!this.#silent) for (const listener of this.#listeners) listener(happening);
  }

  /** Adds a past run, made `minutes` ago, that ran for `ticks` ticks. */
  seedRun(
    definition: string,
    value: string,
    minutes: number,
    ticks: number,
    size = this.#options.size,
    then?: (run: FakeRun) => void,
    cause: Cause = BY_HAND,
  ): FakeRun {
    this.#shift = -minutes * 60_000;
    const crawl = this.library.get(definition).summary.step_types.includes("crawl");
    const run = this.#start(definition, [[crawl ? "start_url" : "folder", value]], size, cause);
    for (let n = 0; n < ticks; n += 1) {
      this.#shift += 430;
      run.tick();
    }
    then?.(run);
    this.#shift = 0;
    return run;
  }

  /** Lets the seeded live runs move on by themselves. */
  start(): void {
    this.#wind();
  }

  interrupt(run: string): void {
    this.#run(run).interrupt();
  }

  // Host of the runs.

  nextId = () => String(++this.#id);
  nextSeq = () => ++this.#seq;
  now = () => new Date(Date.now() + this.#shift).toISOString();

  save(
    run: FakeRun,
    found: { source_type: string; source_id: string; url: string | null; page: number },
  ): { id: string; saved: Saved } {
    const key = `${found.source_type}:${found.source_id}`;
    const known = this.#documents.get(key);
    if (known) {
      known.last_synced = this.now();
      return { id: known.id, saved: "unchanged" };
    }
    const content = page(found.page);
    const id = this.nextId();
    this.#documents.set(key, {
      ...found,
      id,
      title: found.page > 5 && found.url ? `${content.title}, continued` : content.title,
      body: toText(content),
      tags: [...content.tags, found.source_type === "web" ? "site" : "folder"].sort(),
      run_id: run.id,
      fetched: this.now(),
      last_synced: this.now(),
    });
    return { id, saved: "created" };
  }

  /** The sources of all documents are gone. */
  loseSources(): void {
    for (const document of this.#documents.values()) document.gone = this.now();
  }

  // Backend.

  listDefinitions = () =>
    this.#answer("listDefinitions", (): DefinitionSummary[] => this.definitions.map((one) => one.summary));

  getDefinition = (id: string) =>
    this.#answer("getDefinition", (): DefinitionView => structuredClone(this.library.get(id)));

  copyDefinition = (id: string, newId: string) =>
    this.#answer("copyDefinition", () => this.library.copy(id, newId));
  setEnabled = (id: string, enabled: boolean) =>
    this.#answer("setEnabled", () => this.library.setEnabled(id, enabled));
  deleteDefinition = (id: string) => this.#answer("deleteDefinition", () => this.library.delete(id));
  deletedDefinitions = () => this.#answer("deletedDefinitions", () => this.library.deleted());
  undeleteDefinition = (entry: string) =>
    this.#answer("undeleteDefinition", () => this.library.undelete(entry));
  definitionHistory = (id: string) => this.#answer("definitionHistory", () => this.library.history(id));
  diffVersions = (id: string, from: number, to: number | null) =>
    this.#answer("diffVersions", () => this.library.diff(id, from, to));
  restoreVersion = (id: string, version: number) =>
    this.#answer("restoreVersion", () => this.library.restore(id, version));
  importDefinition = (newId: string | null) =>
    this.#answer("importDefinition", () => (this.picksFile ? this.library.import(newId) : null));
  exportDefinition = (id: string) =>
    this.#answer("exportDefinition", () =>
      this.picksFile ? `/home/you/Desktop/${this.library.get(id).summary.id}.toml` : null,
    );
  listSchedules = () =>
    this.#answer("listSchedules", () =>
      this.library.schedules((id) => this.#runs.findLast((run) => run.definition.id === id)?.id ?? null),
    );

  runDefinition = (request: RunRequest) =>
    this.#answer("runDefinition", (): string => {
      const known = this.#requests.get(request.request_id);
      if (known) return known;
      const definition = this.library.get(request.definition_id).summary;
      if (definition.errors > 0)
        throw error("invalid", `${definition.name} has problems.`, "Open it under Jobs and fix them.");
      for (const input of definition.inputs) {
        const given = request.set.find(([key]) => key === input.key)?.[1] ?? input.default;
        if (input.required && given === "")
          throw error("invalid", `The job needs a value for ${input.label}.`);
        if (input.kind === "folder" && !given.startsWith("/"))
          throw error("invalid", `${given} is not a full path.`, "Begin with /, or choose the folder.");
      }
      this.#checkNeeds(request);
      const run = this.#start(definition.id, request.set, this.#options.size);
      this.#requests.set(request.request_id, run.id);
      this.#wind();
      this.#progress(run);
      return run.id;
    });

  #checkNeeds(request: { anyway: boolean }): void {
    if (this.missing === null || request.anyway) return;
    const hint = "Set it up first, or run it anyway: what does not need it works.";
    throw error("not_set_up", this.missing, hint);
  }

  rerun = (request: RerunRequest) =>
    this.#answer("rerun", (): string => {
      const known = this.#requests.get(request.request_id);
      if (known) return known;
      const earlier = this.#run(request.run);
      if (!isEnded(earlier)) throw error("conflict", `Run ${earlier.id} has not ended.`);
      this.#checkNeeds(request);
      const set = new Map([...earlier.given, ...request.set]);
      const text = request.current_definition
        ? this.library.get(earlier.definition.id).text
        : earlier.definition.text;
      const run = this.#start(earlier.definition.id, [...set], this.#options.size, {
        started_by: "rerun",
        rerun_of: earlier.id,
        parent_run: null,
      });
      run.definition.text = text;
      const { part } = request;
      const from = typeof part === "object" ? earlier.steps.findIndex((step) => step.name === part.from) : 0;
      if (part === "failed")
        run.reuse(earlier, (step) => step.status === "completed" && step.jobs.failed === 0);
      else if (part !== "whole") run.reuse(earlier, (step) => earlier.steps.indexOf(step) < from);
      this.#requests.set(request.request_id, run.id);
      this.#wind();
      this.#progress(run);
      return run.id;
    });

  pruneRuns = (keepRuns: number | null, keepDays: number | null) =>
    this.#answer("pruneRuns", (): number => {
      const oldest = keepDays === null ? Number.POSITIVE_INFINITY : Date.now() - keepDays * 86_400_000;
      const ended = this.#runs.filter(isEnded).reverse();
      const gone = ended.filter(
        (run, at) =>
          (keepRuns !== null && at >= keepRuns) ||
          (keepDays !== null && Date.parse(run.finished ?? run.started) < oldest),
      );
      this.#runs = this.#runs.filter((run) => !gone.includes(run));
      return gone.length;
    });

  runStatistics = (id: string) => this.#answer("runStatistics", () => this.#run(id).statistics());

  diffRuns = (from: string, to: string) =>
    this.#answer("diffRuns", () => diff(this.#run(from).definition.text, this.#run(to).definition.text));

  listRuns = (before: string | null, limit: number) =>
    this.#answer("listRuns", (): RunSummary[] =>
      [...this.#runs]
        .sort((a, b) => Number(b.id) - Number(a.id))
        .filter((run) => before === null || Number(run.id) < Number(before))
        .slice(0, limit)
        .map((run) => run.summary(Date.now())),
    );

  getRun = (id: string) => this.#answer("getRun", (): RunView => this.#run(id).view(Date.now()));

  listJobs = (id: string, query: JobQuery) =>
    this.#answer("listJobs", (): JobPage => {
      const run = this.#run(id);
      const all = query.parent === null ? run.tasks : run.children(query.parent);
      const after = query.after === null ? 0 : Number(query.after);
      const jobs = [];
      const needle = query.text.toLowerCase();
      for (const task of all) {
        if (Number(task.id) <= after) continue;
        if (query.statuses.length > 0 && !query.statuses.includes(task.status)) continue;
        if (needle && !task.name.toLowerCase().includes(needle)) continue;
        if (jobs.length === query.limit) return { jobs, more: true };
        jobs.push({ ...task });
      }
      return { jobs, more: false };
    });

  readLog = (query: LogQuery) =>
    this.#answer("readLog", (): LogPage => {
      const lines = this.#run(query.run).log.filter(
        (line) =>
          LEVELS.indexOf(line.level) >= LEVELS.indexOf(query.min_level) &&
          (query.job === null || line.job_id === query.job) &&
          (query.after === null || line.seq > query.after),
      );
      const more = lines.length > query.limit;
      return { more, lines: query.after === null ? lines.slice(-query.limit) : lines.slice(0, query.limit) };
    });

  cancelRun = (id: string) =>
    this.#answer("cancelRun", () => {
      const run = this.#run(id);
      if (isEnded(run)) throw error("conflict", "The run has already ended.");
      this.#observe(run, () => run.cancel());
    });

  resumeRun = (id: string) =>
    this.#answer("resumeRun", () => {
      const run = this.#run(id);
      if (run.status !== "interrupted" && run.status !== "paused")
        throw error("conflict", "Only a run that was paused or cut off can be resumed.");
      this.#observe(run, () => {
        run.status = "running";
        run.note("info", "resumed");
      });
      this.#wind();
    });

  pauseRun = (id: string) =>
    this.#answer("pauseRun", () => {
      const run = this.#run(id);
      if (run.status !== "running") throw error("conflict", "Only a run that is under way can be paused.");
      this.#observe(run, () => run.pause());
    });

  pauseAll = (pause: boolean) =>
    this.#answer("pauseAll", () => {
      this.#paused = pause;
      this.#wind();
    });
  storageWait = () => this.#answer("storageWait", () => this.waits);
  isPaused = () => this.#answer("isPaused", () => this.#paused);

  searchDocuments = (request: SearchRequest) =>
    this.#answer("searchDocuments", (): SearchResults => search([...this.#documents.values()], request));

  getDocument = (id: string) =>
    this.#answer("getDocument", (): DocumentView => {
      const found =
        [...this.#documents.values()].find((one) => one.id === id) ??
        notFound("This document does not exist any more.");
      const content = page(found.page);
      return {
        ...found,
        markdown: toMarkdown(content),
        html: toHtml(content),
        truncated: false,
        gone: found.gone ?? null,
        metadata: {
          author: "R. Example",
          language: "en",
          content_type: found.url ? "text/html" : "text/markdown",
          words: found.body.split(" ").length,
          ...this.metadata,
        },
      };
    });

  openSource = (id: string) => this.#answer("openSource", () => void this.opened.push(id));

  findDocument = (address: string) =>
    this.#answer("findDocument", (): string | null => {
      const bare = address.replace(/#.*$/, "");
      return [...this.#documents.values()].find((one) => one.url === bare)?.id ?? null;
    });

  openLink = (id: string, href: string) =>
    this.#answer("openLink", () => {
      const found = [...this.#documents.values()].find((one) => one.id === id);
      if (!found || !toHtml(page(found.page)).includes(`href="${href}"`))
        notFound(`The document has no link to ${href}.`);
      this.opened.push(href);
    });

  listProviders = () => this.#answer("listProviders", () => this.services.view(this.#settings));
  keepKey = (request: KeepKey) => this.#answer("keepKey", () => this.services.keep(request));
  forgetKey = (provider: string) => this.#answer("forgetKey", () => void this.services.keys.delete(provider));
  unlockKeys = (passphrase: string) => this.#answer("unlockKeys", () => this.services.unlock(passphrase));
  testProvider = (_: string) => this.#answer("testProvider", () => this.services.answer);
  listProfiles = () => this.#answer("listProfiles", () => this.services.profileViews());
  importProfile = (request: ImportProfile) =>
    this.#answer("importProfile", () => this.services.importProfile(request));
  deleteProfile = (name: string) =>
    this.#answer("deleteProfile", () => void this.services.profiles.delete(name));
  openSignIn = (name: string, address: string) =>
    this.#answer("openSignIn", () => this.services.openSignIn(name, address));
  keepSignIn = (place: KeyPlace) => this.#answer("keepSignIn", () => this.services.keepSignIn(place));
  closeSignIn = () =>
    this.#answer("closeSignIn", () => {
      this.services.signIn = null;
    });
  getSettings = () => this.#answer("getSettings", () => ({ ...this.#settings }));
  setSettings = (settings: Settings) =>
    this.#answer("setSettings", () => {
      this.#settings = { ...settings };
    });
  appInfo = () =>
    this.#answer("appInfo", () => ({
      version: "0.1.0",
      sqlite_version: "3.51.3",
      data_dir: "/home/you/.local/share/quaero",
      definitions_dir: "/home/you/.local/share/quaero/job-definitions",
      documents: this.#documents.size,
      database_bytes: 81_920 + this.#documents.size * 6_300,
      live_runs: this.#runs.filter((run) => run.status === "running").length,
    }));
  chooseFolder = () => this.#answer("chooseFolder", () => this.folderToChoose);
  openDataDir = () => this.#answer("openDataDir", () => void this.opened.push("data"));
  startupError = () => this.#answer("startupError", () => this.broken);
  windowReady = () => this.#answer("windowReady", () => void this.ready.count++);

  subscribe = (listener: (happening: Happening) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  // Inside.

  #start(id: string, set: [string, string][], size: number, cause: Cause = BY_HAND): FakeRun {
    const definition = this.library.get(id);
    const crawl = definition.summary.step_types.includes("crawl");
    const retried = definition.text.includes('on_error = "retry"');
    const first = {
      ...(crawl
        ? { name: "crawl", type: "crawl", description: "Fetch the pages, one after another" }
        : { name: "read", type: "local_dir", description: "Read every document below the folder" }),
      depends: [],
      on_error: retried ? ("retry" as const) : ("continue" as const),
      max_attempts: retried ? 3 : 1,
      condition: "",
    };
    const steps = [
      first,
      {
        name: "index",
        type: "reindex",
        description: "Rebuild and prove the full-text index",
        depends: [first.name],
        on_error: "fail" as const,
        max_attempts: 1,
        condition: definition.text.includes("condition =") ? "steps.crawl.completed" : "",
      },
    ];
    const plan = { id, name: definition.summary.name, text: definition.text, steps };
    const run = new FakeRun(this, plan, set, size, cause);
    this.library.executed(id, run.id);
    this.#runs.push(run);
    return run;
  }

  #tick(run: FakeRun): void {
    if (run.status === "running" && !this.#paused) this.#observe(run, () => run.tick());
  }

  /** Does something to a run and tells what came of it. */
  #observe(run: FakeRun, change: () => void): void {
    const lines = run.log.length;
    const statuses = run.steps.map((step) => step.status);
    const before = run.status;
    const saved = run.summary(0).documents;
    change();
    const added = run.log.slice(lines);
    if (added.length > 0) this.tell({ kind: "log", appended: { run_id: run.id, lines: added } });
    const now = run.summary(0).documents;
    const count = now.created + now.updated - saved.created - saved.updated;
    if (count > 0) this.tell({ kind: "saved", saved: { run_id: run.id, count, document_ids: [] } });
    run.steps.forEach((step, at) => {
      if (step.status === statuses[at]) return;
      const { id, name, status, error } = step;
      this.tell({
        kind: "status",
        change: { run_id: run.id, job_id: id, kind: "step", name, status, error },
      });
    });
    this.#progress(run);
    if (run.status === before) return;
    const { status } = run;
    if (status === "interrupted" || status === "paused" || status === "queued") return;
    this.tell({
      kind: "status",
      change: {
        run_id: run.id,
        job_id: run.id,
        kind: "parent",
        name: run.definition.name,
        status,
        error: run.error,
      },
    });
  }

  #progress(run: FakeRun): void {
    const steps = run.steps.map(({ id, name, status, jobs, documents }) => ({
      id,
      name,
      status,
      jobs: { ...jobs },
      documents: { ...documents },
    }));
    // What is known grows while the first step looks for more; only then can nobody tell the rest.
    const { total, pending, running } = run.summary(0).jobs;
    const tasks_per_minute = run.status === "running" && total > 12 ? 412.5 : null;
    const known = tasks_per_minute !== null && run.steps.at(-1)?.status !== "pending";
    const remaining_ms = known ? Math.round(((pending + running) / 412.5) * 60_000) : null;
    this.tell({
      kind: "progress",
      progress: { run: run.summary(Date.now()), steps, tasks_per_minute, remaining_ms },
    });
  }

  #wind(): void {
    if (this.#options.tickMs === null || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.advance();
      if (this.#runs.some((run) => run.status === "running")) this.#wind();
    }, this.#options.tickMs);
  }

  #run(id: string): FakeRun {
    return this.#runs.find((run) => run.id === id) ?? notFound(`There is no run ${id}.`);
  }

  async #answer<T>(method: Method, work: () => T): Promise<T> {
    if (this.#hanging.has(method)) return new Promise(() => {});
    await Promise.resolve();
    const failure = this.#failures.get(method);
    if (failure) throw failure;
    try {
      return work();
    } catch (thrown) {
      throw asApiError(thrown);
    }
  }
}

const isEnded = (run: FakeRun) => ["completed", "failed", "cancelled"].includes(run.status);
