// Everything the window asks of the program and everything it is told. Two implementations: the
// desktop (`tauri.ts`) and one in memory (`fake/`). Every method rejects with an `ApiError` only.

import type {
  ApiError,
  AppInfo,
  DefinitionSummary,
  DefinitionsChanged,
  DefinitionVersion,
  DefinitionView,
  DeletedDefinition,
  DocumentId,
  DocumentView,
  ImportedDefinition,
  ImportedProfile,
  ImportProfile,
  JobId,
  JobPage,
  JobProgress,
  JobQuery,
  JobStatusChange,
  KeepKey,
  KeyPlace,
  LogAppended,
  LogPage,
  LogQuery,
  ProfileView,
  ProvidersView,
  ProviderTest,
  RerunRequest,
  ResultSaved,
  RunRequest,
  RunStatistics,
  RunSummary,
  RunView,
  ScheduleView,
  SearchRequest,
  SearchResults,
  Settings,
  TextDiff,
} from "./types";

export type Happening =
  | { kind: "progress"; progress: JobProgress }
  | { kind: "status"; change: JobStatusChange }
  | { kind: "saved"; saved: ResultSaved }
  | { kind: "log"; appended: LogAppended }
  | { kind: "definitions"; changed: DefinitionsChanged }
  /** Work waits for the storage, for this reason; null when it goes on. */
  | { kind: "waits"; error: ApiError | null }
  /** The engine has given up: nothing runs until the next start. */
  | { kind: "halted"; error: ApiError }
  /** Some of the others were lost: read again whatever is on the screen. */
  | { kind: "missed" };

export interface Backend {
  listDefinitions(): Promise<DefinitionSummary[]>;
  getDefinition(id: string): Promise<DefinitionView>;
  /** Resolves to the id of the run. The same `request_id` twice starts one run. */
  runDefinition(request: RunRequest): Promise<JobId>;
  copyDefinition(id: string, newId: string): Promise<DefinitionView>;
  setEnabled(id: string, enabled: boolean): Promise<DefinitionView>;
  /** Moves it to the trash. */
  deleteDefinition(id: string): Promise<DeletedDefinition>;
  /** What lies in the trash, newest first. */
  deletedDefinitions(): Promise<DeletedDefinition[]>;
  undeleteDefinition(entry: string): Promise<DefinitionView>;
  /** Newest first. */
  definitionHistory(id: string): Promise<DefinitionVersion[]>;
  /** `to` is a version, or `null` for the text as it is now. */
  diffVersions(id: string, from: number, to: number | null): Promise<TextDiff>;
  restoreVersion(id: string, version: number): Promise<DefinitionView>;
  /** Asks for a file; `null` when the user changes their mind. */
  importDefinition(newId: string | null): Promise<ImportedDefinition | null>;
  /** Asks for a file and resolves to the one written; `null` when the user changes their mind. */
  exportDefinition(id: string): Promise<string | null>;

  listSchedules(): Promise<ScheduleView[]>;

  /** Newest first; `before` is the last id of the page before. */
  listRuns(before: JobId | null, limit: number): Promise<RunSummary[]>;
  getRun(id: JobId): Promise<RunView>;
  listJobs(run: JobId, query: JobQuery): Promise<JobPage>;
  readLog(query: LogQuery): Promise<LogPage>;
  cancelRun(id: JobId): Promise<void>;
  /** Goes on with a run that was paused or cut off. */
  resumeRun(id: JobId): Promise<void>;
  pauseRun(id: JobId): Promise<void>;
  pauseAll(pause: boolean): Promise<void>;
  isPaused(): Promise<boolean>;
  /** Why work waits for the storage at present, if it does. */
  storageWait(): Promise<ApiError | null>;
  /** Resolves to the id of the new run. The same `request_id` twice starts one run. */
  rerun(request: RerunRequest): Promise<JobId>;
  /** Forgets ended runs beyond these limits, and resolves to how many. */
  pruneRuns(keepRuns: number | null, keepDays: number | null): Promise<number>;
  runStatistics(id: JobId): Promise<RunStatistics>;
  /** How the definition of run `from` became that of run `to`. */
  diffRuns(from: JobId, to: JobId): Promise<TextDiff>;

  searchDocuments(request: SearchRequest): Promise<SearchResults>;
  getDocument(id: DocumentId): Promise<DocumentView>;
  /** Opens the web page, or shows the file in its folder. */
  openSource(id: DocumentId): Promise<void>;
  /** The collected page with this address, if there is one. */
  findDocument(address: string): Promise<DocumentId | null>;
  /** Opens a link of the document in the browser; `href` is what the document says. */
  openLink(id: DocumentId, href: string): Promise<void>;

  /** The outside services as they are set up, and the places for their keys. */
  listProviders(): Promise<ProvidersView>;
  keepKey(request: KeepKey): Promise<void>;
  forgetKey(provider: string): Promise<void>;
  /** Opens the file with keys, or makes one that this passphrase opens. */
  unlockKeys(passphrase: string): Promise<void>;
  testProvider(provider: string): Promise<ProviderTest>;
  /** The sign-in profiles, without what is in them. */
  listProfiles(): Promise<ProfileView[]>;
  importProfile(request: ImportProfile): Promise<ImportedProfile>;
  deleteProfile(name: string): Promise<void>;
  /** Opens a window in which the user signs in, for a profile of this name. */
  openSignIn(name: string, address: string): Promise<void>;
  /** Keeps what that window has of its site, and closes it. */
  keepSignIn(place: KeyPlace): Promise<ImportedProfile>;
  closeSignIn(): Promise<void>;

  getSettings(): Promise<Settings>;
  setSettings(settings: Settings): Promise<void>;
  appInfo(): Promise<AppInfo>;
  /** Lets the user pick a folder; `null` when they change their mind. */
  chooseFolder(): Promise<string | null>;
  openDataDir(): Promise<void>;
  /** Why the data cannot be used at all; waits until that is known. */
  startupError(): Promise<ApiError | null>;
  /** Shows the window, which was created hidden. Called once, after the first paint. */
  windowReady(): Promise<void>;

  /** Calls `listener` until the returned function is called. */
  subscribe(listener: (happening: Happening) => void): () => void;
}

/** Makes an `ApiError` of anything that was thrown. */
export function asApiError(thrown: unknown): ApiError {
  if (isApiError(thrown)) return { ...thrown, hint: thrown.hint ?? null, where: thrown.where ?? null };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { code: "internal", message, hint: null, where: null };
}

function isApiError(thrown: unknown): thrown is ApiError {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    "code" in thrown &&
    "message" in thrown &&
    !(thrown instanceof Error)
  );
}
