// The definitions of the in-memory backend: their texts of earlier days, the trash, the schedules.

import type {
  DefinitionVersion,
  DefinitionView,
  DeletedDefinition,
  ImportedDefinition,
  ScheduleView,
  TextDiff,
  VersionReason,
} from "../types";
import { definitions, imported } from "./definitions";
import { diff } from "./diff";
import { error, notFound } from "./errors";

type Kept = DefinitionVersion & { text: string };
type Deleted = DeletedDefinition & { view: DefinitionView };

const HOUR = 3_600_000;
const FOLDER = "/home/you/.local/share/quaero/job-definitions";

export class FakeLibrary {
  readonly definitions: DefinitionView[] = structuredClone(definitions);
  readonly #history = new Map<string, Kept[]>();
  #trash: Deleted[] = [];
  #hash = 100;

  constructor(
    readonly now: () => string,
    readonly changed: (ids: string[]) => void,
  ) {}

  get(id: string): DefinitionView {
    return (
      this.definitions.find((one) => one.summary.id === id) ?? notFound(`There is no job definition ${id}.`)
    );
  }

  /** Writes a text, as an editor outside would. */
  write(id: string, text: string, why: VersionReason = "found_on_disk"): DefinitionView {
    const view = this.get(id);
    this.#keep(view, "found_on_disk");
    view.text = text;
    const enabled = /^enabled = (true|false)$/m.exec(text)?.[1];
    view.summary = { ...view.summary, enabled: enabled !== "false", hash: String(++this.#hash) };
    view.summary.modified = this.now();
    this.#keep(view, why);
    this.changed([id]);
    return structuredClone(view);
  }

  /** Says that a run was started with the present text. */
  executed(id: string, run: string): void {
    const view = this.get(id);
    this.#keep(view, "executed");
    const newest = this.#history.get(id)?.[0];
    if (newest) newest.run_id = run;
  }

  copy(id: string, newId: string): DefinitionView {
    const from = this.get(id);
    if (!/^[a-z0-9][a-z0-9-]*$/.test(newId))
      throw error("invalid", `${newId} is no id.`, "Use lower-case letters, digits and hyphens.");
    this.#mustBeFree(newId);
    const text = from.text.replace(`id = "${id}"`, `id = "${newId}"`);
    return this.#add({
      ...structuredClone(from),
      text,
      summary: {
        ...from.summary,
        id: newId,
        origin: "user",
        file: `${FOLDER}/${newId}.toml`,
        enabled: from.summary.schedule === null,
        hash: String(++this.#hash),
        modified: this.now(),
      },
    });
  }

  setEnabled(id: string, enabled: boolean): DefinitionView {
    const view = this.#own(id);
    const bare = view.text.replace(/^enabled = .*\n/m, "");
    return this.write(id, bare.replace(/^(name = .*\n)/m, `$1enabled = ${enabled}\n`), "saved");
  }

  delete(id: string): DeletedDefinition {
    const view = this.#own(id);
    this.definitions.splice(this.definitions.indexOf(view), 1);
    const file = view.summary.file.split("/").at(-1) ?? id;
    const entry = { entry: `${this.#trash.length + 1}-${file}`, file, deleted: this.now() };
    this.#trash.unshift({ ...entry, view });
    this.changed([id]);
    return entry;
  }

  deleted(): DeletedDefinition[] {
    return this.#trash.map(({ entry, file, deleted }) => ({ entry, file, deleted }));
  }

  undelete(entry: string): DefinitionView {
    const found =
      this.#trash.find((one) => one.entry === entry) ?? notFound("It is not in the trash any more.");
    this.#mustBeFree(found.view.summary.id);
    this.#trash = this.#trash.filter((one) => one !== found);
    return this.#add(found.view);
  }

  history(id: string): DefinitionVersion[] {
    this.get(id);
    return (this.#history.get(id) ?? []).map(({ text: _, ...version }) => version);
  }

  diff(id: string, from: number, to: number | null): TextDiff {
    return diff(this.#version(id, from).text, to === null ? this.get(id).text : this.#version(id, to).text);
  }

  restore(id: string, version: number): DefinitionView {
    this.#own(id);
    return this.write(id, this.#version(id, version).text, "restored");
  }

  import(newId: string | null): ImportedDefinition {
    const view = structuredClone(imported);
    view.summary.id = newId ?? view.summary.id;
    view.summary.file = `${FOLDER}/${view.summary.id}.toml`;
    this.#mustBeFree(view.summary.id);
    return { definition: this.#add(view), profiles: ["library-card"], allow_hosts: ["archive.local"] };
  }

  schedules(lastRun: (id: string) => string | null): ScheduleView[] {
    return this.definitions
      .filter(({ summary }) => summary.schedule !== null && summary.errors === 0)
      .map(({ summary }, at) => {
        const run = lastRun(summary.id);
        const daily = summary.schedule === "0 7 * * *";
        const first = Math.ceil(Date.parse(this.now()) / HOUR) * HOUR + at * HOUR;
        return {
          definition_id: summary.id,
          name: summary.name,
          cron: summary.schedule ?? "",
          timezone: daily ? "Australia/Sydney" : null,
          description: daily ? "At 07:00 every day, Sydney time" : "Every 6 hours",
          missed_runs: daily ? "once" : "skip",
          overlap: "skip",
          enabled: summary.enabled,
          next: summary.enabled
            ? [0, 1, 2, 3, 4].map((n) => new Date(first + n * (daily ? 24 : 6) * HOUR).toISOString())
            : [],
          last_slot: daily ? new Date(first - 24 * HOUR).toISOString() : null,
          last_result: daily ? "started" : null,
          last_run: daily ? run : null,
          note: daily ? "2 times passed while Quaero was closed; one run made up for them." : "",
          started: daily ? 14 : 0,
          skipped: daily ? 3 : 0,
        };
      });
  }

  #add(view: DefinitionView): DefinitionView {
    this.definitions.push(view);
    this.#keep(view, "saved");
    this.changed([view.summary.id]);
    return structuredClone(view);
  }

  #keep(view: DefinitionView, why: VersionReason): void {
    const kept = this.#history.get(view.summary.id) ?? [];
    const [newest] = kept;
    if (newest?.text === view.text) return;
    kept.unshift({
      version: (newest?.version ?? 0) + 1,
      hash: view.summary.hash,
      at: this.now(),
      why,
      run_id: null,
      bytes: view.text.length,
      text: view.text,
    });
    this.#history.set(view.summary.id, kept);
  }

  #version(id: string, version: number): Kept {
    return (
      this.#history.get(id)?.find((one) => one.version === version) ??
      notFound(`There is no version ${version}.`)
    );
  }

  #own(id: string): DefinitionView {
    const view = this.get(id);
    if (view.summary.origin === "shipped")
      throw error("conflict", `${view.summary.name} comes with Quaero.`, "Copy it, and change the copy.");
    return view;
  }

  #mustBeFree(id: string): void {
    if (this.definitions.some((one) => one.summary.id === id))
      throw error("conflict", `There is a definition ${id} already.`, "Choose another id.");
  }
}
