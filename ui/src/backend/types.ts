// What crosses the window, as generated from the program's contract. Requests are given in full here:
// the window leaves no default to chance.

import type * as contract from "../bindings";

export type {
  ApiError,
  AppInfo,
  DefinitionSummary,
  DefinitionView,
  DefinitionsChanged,
  DocumentCounts,
  DocumentHit,
  DocumentId,
  DocumentView,
  ErrorCode,
  Facet,
  InputField,
  InputKind,
  JobCounts,
  JobError,
  JobId,
  JobNode,
  JobPage,
  JobProgress,
  JobStatus,
  JobStatusChange,
  LogAppended,
  LogLevel,
  LogLine,
  LogPage,
  LogQuery,
  Problem,
  ResultSaved,
  RunRequest,
  RunStatus,
  RunSummary,
  RunView,
  SearchResults,
  Severity,
  SnippetPart,
  StepView,
  Theme,
} from "../bindings";

export type SearchRequest = Required<contract.SearchRequest>;
export type JobQuery = Required<contract.JobQuery>;
export type Settings = Required<contract.Settings>;
