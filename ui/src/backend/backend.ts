// Everything the window asks of the program and everything it is told. Two implementations: the
// desktop (`tauri.ts`) and one in memory (`fake/`). Every method rejects with an `ApiError` only.

import type {
  ApiError,
  AppInfo,
  DefinitionSummary,
  DefinitionView,
  DefinitionsChanged,
  DocumentId,
  DocumentView,
  JobId,
  JobPage,
  JobProgress,
  JobQuery,
  JobStatusChange,
  LogAppended,
  LogPage,
  LogQuery,
  ResultSaved,
  RunRequest,
  RunSummary,
  RunView,
  SearchRequest,
  SearchResults,
  Settings,
} from "./types";

export type Happening =
  | { kind: "progress"; progress: JobProgress }
  | { kind: "status"; change: JobStatusChange }
  | { kind: "saved"; saved: ResultSaved }
  | { kind: "log"; appended: LogAppended }
  | { kind: "definitions"; changed: DefinitionsChanged }
  /** Some of the others were lost: read again whatever is on the screen. */
  | { kind: "missed" };

export interface Backend {
  listDefinitions(): Promise<DefinitionSummary[]>;
  getDefinition(id: string): Promise<DefinitionView>;
  /** Resolves to the id of the run. The same `request_id` twice starts one run. */
  runDefinition(request: RunRequest): Promise<JobId>;

  /** Newest first; `before` is the last id of the page before. */
  listRuns(before: JobId | null, limit: number): Promise<RunSummary[]>;
  getRun(id: JobId): Promise<RunView>;
  listJobs(run: JobId, query: JobQuery): Promise<JobPage>;
  readLog(query: LogQuery): Promise<LogPage>;
  cancelRun(id: JobId): Promise<void>;
  resumeRun(id: JobId): Promise<void>;

  searchDocuments(request: SearchRequest): Promise<SearchResults>;
  getDocument(id: DocumentId): Promise<DocumentView>;
  /** Opens the web page, or shows the file in its folder. */
  openSource(id: DocumentId): Promise<void>;
  /** The collected page with this address, if there is one. */
  findDocument(address: string): Promise<DocumentId | null>;
  /** Opens a link of the document in the browser; `href` is what the document says. */
  openLink(id: DocumentId, href: string): Promise<void>;

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
