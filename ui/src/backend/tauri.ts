// The desktop. This file alone uses the generated commands and events; everything else asks `Backend`.

import { commands, events } from "../bindings";
import { asApiError, type Backend, type Happening } from "./backend";
import type { ApiError } from "./types";

type Answer<T> = { status: "ok"; data: T } | { status: "error"; error: ApiError };

async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  // A rejection is a fault of the bridge itself, such as a command that is not allowed.
  const settled = await answer.catch((thrown: unknown) => ({
    status: "error" as const,
    error: asApiError(thrown),
  }));
  if (settled.status === "ok") return settled.data;
  throw asApiError(settled.error);
}

async function tell(answer: Promise<Answer<null>>): Promise<void> {
  await ask(answer);
}

export const backend: Backend = {
  listDefinitions: () => ask(commands.listDefinitions()),
  getDefinition: (id) => ask(commands.getDefinition(id)),
  runDefinition: (request) => ask(commands.runDefinition(request)),
  copyDefinition: (id, newId) => ask(commands.copyDefinition(id, newId)),
  setEnabled: (id, enabled) => ask(commands.setEnabled(id, enabled)),
  deleteDefinition: (id) => ask(commands.deleteDefinition(id)),
  deletedDefinitions: () => ask(commands.deletedDefinitions()),
  undeleteDefinition: (entry) => ask(commands.undeleteDefinition(entry)),
  definitionHistory: (id) => ask(commands.definitionHistory(id)),
  diffVersions: (id, from, to) => ask(commands.diffVersions(id, from, to)),
  restoreVersion: (id, version) => ask(commands.restoreVersion(id, version)),
  importDefinition: (newId) => ask(commands.importDefinition(newId)),
  exportDefinition: (id) => ask(commands.exportDefinition(id)),
  listSchedules: () => ask(commands.listSchedules()),
  listRuns: (before, limit) => ask(commands.listRuns(before, limit)),
  getRun: (id) => ask(commands.getRun(id)),
  listJobs: (run, query) => ask(commands.listJobs(run, query)),
  readLog: (query) => ask(commands.readLog(query)),
  cancelRun: (id) => tell(commands.cancelRun(id)),
  resumeRun: (id) => tell(commands.resumeRun(id)),
  pauseRun: (id) => tell(commands.pauseRun(id)),
  pauseAll: (pause) => tell(commands.pauseAll(pause)),
  isPaused: () => ask(commands.isPaused()),
  storageWait: () => ask(commands.storageWait()),
  rerun: (request) => ask(commands.rerun(request)),
  pruneRuns: (keepRuns, keepDays) => ask(commands.pruneRuns(keepRuns, keepDays)),
  runStatistics: (id) => ask(commands.runStatistics(id)),
  diffRuns: (from, to) => ask(commands.diffRuns(from, to)),
  searchDocuments: (request) => ask(commands.searchDocuments(request)),
  getDocument: (id) => ask(commands.getDocument(id)),
  openSource: (id) => tell(commands.openSource(id)),
  findDocument: (address) => ask(commands.findDocument(address)),
  openLink: (id, href) => tell(commands.openLink(id, href)),
  listProviders: () => ask(commands.listProviders()),
  keepKey: (request) => tell(commands.keepKey(request)),
  forgetKey: (provider) => tell(commands.forgetKey(provider)),
  unlockKeys: (passphrase) => tell(commands.unlockKeys(passphrase)),
  testProvider: (provider) => ask(commands.testProvider(provider)),
  listProfiles: () => ask(commands.listProfiles()),
  importProfile: (request) => ask(commands.importProfile(request)),
  deleteProfile: (name) => tell(commands.deleteProfile(name)),
  openSignIn: (name, address) => tell(commands.openSignIn(name, address)),
  keepSignIn: (place) => ask(commands.keepSignIn(place)),
  closeSignIn: () => tell(commands.closeSignIn()),
  getSettings: async () => ({
    theme: "system",
    values: {},
    keep_runs: null,
    keep_days: null,
    providers: {},
    search_order: [],
    mail: {},
    ...(await ask(commands.getSettings())),
  }),
  setSettings: (settings) => tell(commands.setSettings(settings)),
  appInfo: () => ask(commands.appInfo()),
  startupError: () => ask(commands.startupError()),
  chooseFolder: () => ask(commands.chooseFolder()),
  openDataDir: () => tell(commands.openDataDir()),
  windowReady: () => tell(commands.windowReady()),

  subscribe(listener) {
    const each = <T>(batch: T[], happening: (one: T) => Happening) => {
      for (const one of batch) listener(happening(one));
    };
    const listening = Promise.all([
      events.jobStatusChange.listen(({ payload }) => each(payload, (change) => ({ kind: "status", change }))),
      events.jobProgress.listen(({ payload }) =>
        each(payload, (progress) => ({ kind: "progress", progress })),
      ),
      events.resultSaved.listen(({ payload }) => each(payload, (saved) => ({ kind: "saved", saved }))),
      events.logAppended.listen(({ payload }) => each(payload, (appended) => ({ kind: "log", appended }))),
      events.definitionsChanged.listen(({ payload }) => listener({ kind: "definitions", changed: payload })),
      events.storageWait.listen(({ payload }) => listener({ kind: "waits", error: payload.error })),
      events.engineHalted.listen(({ payload }) => listener({ kind: "halted", error: payload.error })),
      events.eventsMissed.listen(() => listener({ kind: "missed" })),
    ]);
    // Nothing was heard until all of them listen.
    listening.then(
      () => listener({ kind: "missed" }),
      (error: unknown) => console.error("The window hears no events.", error),
    );
    return () => void listening.then((stops) => stops.forEach((stop) => void stop()));
  },
};
