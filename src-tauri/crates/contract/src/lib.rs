//! What crosses the window: ids, statuses, views, requests, events and error codes.
//!
//! Nothing here does anything. The window, the command line and the tests speak these types; the
//! front end's copy of them (`ui/src/bindings.ts`) is generated from this crate.
//!
//! Conventions: times are RFC 3339 strings in UTC; ids are strings on the wire; durations are whole
//! milliseconds; counts are `u32`.

mod definition;
mod document;
mod error;
mod event;
mod id;
mod profile;
mod provider;
mod run;
mod schedule;
mod settings;
mod status;

pub use definition::{
    DefinitionSummary, DefinitionVersion, DefinitionVersionView, DefinitionView, DeletedDefinition,
    DiffHunk, DiffKind, DiffLine, DiffPart, ImportDefinition, ImportedDefinition, InputField,
    InputKind, Origin, Problem, RunRequest, SaveDefinition, Severity, TextDiff, VersionReason,
};
pub use document::{
    DocumentHit, DocumentView, Facet, Facets, SearchRequest, SearchResults, SnippetPart,
};
pub use error::{ApiError, ErrorCode, ErrorPlace};
pub use event::{
    DefinitionsChanged, EngineHalted, JobProgress, JobStatusChange, LogAppended, ResultSaved,
    StepProgress, StorageWait,
};
pub use id::{DocumentId, JobId};
pub use profile::{ImportProfile, ImportedProfile, ProfileView};
pub use provider::{
    KeepKey, KeyPlace, Keychain, ProviderTest, ProviderView, ProvidersView, SecretsInfo,
};
pub use run::{
    AnswerCount, DocumentCounts, EventPage, FailureCount, HostRequests, JobCounts, JobError,
    JobEvent, JobNode, JobPage, JobQuery, LogLevel, LogLine, LogPage, LogQuery, RerunPart,
    RerunRequest, RunStatistics, RunSummary, RunView, StepView, TypeCounts,
};
pub use schedule::{MissedRuns, Overlap, SchedulePreview, ScheduleView, SlotResult};
pub use settings::{AppInfo, MailSecurity, MailSettings, ProviderSettings, Settings, Theme};
pub use status::{FailureAction, JobKind, JobStatus, OnError, RunStatus, StartedBy};
