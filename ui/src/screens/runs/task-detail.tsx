// The chosen step or task of a run: its state, why it failed, its log.

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { ApiError, JobError, JobNode, StepView } from "../../backend/types";
import { exactTime, number, took } from "../../format";
import { Button, IconButton, LinkButton, linkClass } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Fact, Facts } from "../../parts/page";
import { InlineError } from "../../parts/states";
import { StatusChip } from "../../parts/status";
import { remedies, text } from "../../text";
import { JobLog } from "./log-view";

type Props = { run: string; onClose: () => void } & (
  | { job: JobNode; step?: never; onAgain?: never; refused?: never; onAnyway?: never }
  | {
      step: StepView;
      job?: never;
      /** Runs again from this step; `null` while the run has not ended. */
      onAgain: (() => void) | null;
      refused: ApiError | null;
      /** Runs again what was refused, if it can. */
      onAnyway: (() => void) | null;
    }
);

/** What is known of one step or task, and its own log. */
export function TaskDetail({ run, job, step, onClose, onAgain, refused, onAnyway }: Props) {
  const shown = job ?? step;
  return (
    <section
      aria-label={text.task.label}
      className="flex min-h-0 w-96 shrink-0 flex-col border-l border-line @max-[54rem]/main:h-1/2 @max-[54rem]/main:w-full @max-[54rem]/main:border-t @max-[54rem]/main:border-l-0"
    >
      <div className="grid gap-3 overflow-y-auto p-4 pb-3 max-h-[60%]">
        <div className="flex items-start gap-2">
          <h2 className="min-w-0 flex-1 text-strong font-semibold [overflow-wrap:anywhere]">{shown.name}</h2>
          <IconButton label={text.task.close} onClick={onClose} className="-mt-1 -mr-2">
            <Icon name="close" />
          </IconButton>
        </div>
        <div className="flex flex-wrap items-center gap-2">
          <StatusChip status={shown.status} />
          {job?.document_id && (
            <LinkButton to="/documents" search={{ doc: job.document_id }}>
              <Icon name="read" className="size-3.5" />
              {text.task.open}
            </LinkButton>
          )}
          {onAgain && (
            <Button onClick={onAgain}>
              <Icon name="again" className="size-3.5" />
              {text.again.here}
            </Button>
          )}
        </div>
        {refused && <InlineError error={refused} />}
        {onAnyway && (
          <div>
            <Button onClick={onAnyway}>{text.jobs.anyway}</Button>
          </div>
        )}
        {step?.description && <p className="text-muted">{step.description}</p>}
        {shown.error && <Why error={shown.error} skipped={shown.status === "skipped"} />}
        <Facts>
          <Fact name={text.task.kind} mono>
            {shown.type}
          </Fact>
          {job && job.attempt > 1 && <Fact name={text.task.attempt}>{number(job.attempt)}</Fact>}
          {job && job.children > 0 && (
            <Fact name={text.task.children}>{text.task.childCounts(job.open_children, job.children)}</Fact>
          )}
          {step && (
            <Fact name={text.task.documents}>
              {text.run.docCounts(step.documents, step.finished === null)}
            </Fact>
          )}
          {step && <StepFacts step={step} />}
          {shown.started && <Fact name={text.task.started}>{exactTime(shown.started)}</Fact>}
          {shown.started && shown.finished && (
            <Fact name={text.task.took}>{took(Date.parse(shown.finished) - Date.parse(shown.started))}</Fact>
          )}
        </Facts>
      </div>
      <h3 className="border-t border-line px-4 pt-2 pb-1.5 text-meta font-medium">{text.task.log}</h3>
      <JobLog key={shown.id} run={run} job={shown.id} />
    </section>
  );
}

/** What the definition says of the step, and where its work is otherwise. */
function StepFacts({ step }: { step: StepView }) {
  return (
    <>
      {step.reused_from !== null && (
        <Fact name={text.task.reused}>
          <RunLink id={step.reused_from}>{text.task.reusedFrom(step.reused_from)}</RunLink>
        </Fact>
      )}
      {step.runs.length > 0 && (
        <Fact name={text.task.runs}>
          <span className="flex flex-wrap gap-x-2">
            {step.runs.map((id) => (
              <RunLink key={id} id={id}>
                {text.run.runLink(id)}
              </RunLink>
            ))}
          </span>
        </Fact>
      )}
      {step.max_attempts > 1 && step.attempt > 0 && (
        <Fact name={text.task.attempt}>{text.task.attempts(step.attempt, step.max_attempts)}</Fact>
      )}
      {step.next_attempt !== null && <Fact name={text.task.nextAttempt}>{exactTime(step.next_attempt)}</Fact>}
      {step.condition !== "" && (
        <Fact name={text.task.condition} mono>
          {step.condition}
        </Fact>
      )}
      {step.always_run && <Fact name={text.task.alwaysRun}>{text.task.alwaysRunAbout}</Fact>}
      <Fact name={text.task.onError}>{text.task.onErrorWords[step.on_error]}</Fact>
    </>
  );
}

function RunLink({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Link to="/runs/$id" params={{ id }} className={linkClass}>
      {children}
    </Link>
  );
}

function Why({ error, skipped }: { error: JobError; skipped: boolean }): ReactNode {
  const remedy = remedies[error.code];
  return (
    <div className={`rounded-m border p-2.5 ${skipped ? "border-line" : "tinted text-error"}`}>
      <p className="text-meta font-medium">{skipped ? text.task.skippedBecause : text.task.error}</p>
      <p className="text-text [overflow-wrap:anywhere]">{error.message}</p>
      {remedy && <p className="mt-1 text-meta text-muted">{remedy}</p>}
    </div>
  );
}
