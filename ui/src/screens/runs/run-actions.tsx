// What can be done with a run: pause, resume, cancel, run again.

import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Action, useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { RunView } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { runQuery, runsQuery } from "../../data/queries";
import { isEnded } from "../../data/sync";
import { Button } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { InlineError } from "../../parts/states";
import { text } from "../../text";
import { RunAgain } from "./run-again";

/** In a narrow window a button is its icon; the name stays for those who listen. */
const narrow = "@max-[44rem]/main:sr-only";

type Props = { run: RunView; current: boolean; onCurrent: (current: boolean) => void };

export function RunActions({ run, current, onCurrent }: Props) {
  const { id, status } = run.summary;
  const client = useQueryClient();
  const readAgain = () => {
    void client.invalidateQueries({ queryKey: runQuery(id).queryKey });
    void client.invalidateQueries({ queryKey: runsQuery.queryKey });
  };
  const cancel = useCommand(backend.cancelRun.bind(backend));
  const resume = useCommand(backend.resumeRun.bind(backend), readAgain);
  const pause = useCommand(backend.pauseRun.bind(backend), readAgain);
  const open = !isEnded(status);
  // The run itself ends a little after the cancel has been accepted.
  const cancelling = cancel.pending || cancel.done;
  const canCancel = open && !cancelling;
  const canPause = status === "running" && !cancelling;
  const canResume = status === "interrupted" || status === "paused";
  const { start: startCancel } = cancel;
  const { start: startResume } = resume;
  const { start: startPause } = pause;
  const actions = useMemo((): Action[] => {
    const here = (on: boolean, id: string, title: string, run: () => void): Action[] =>
      on ? [{ id, title, group: "here", run }] : [];
    return [
      ...here(canPause, "pause-run", text.run.pause, () => startPause(id)),
      ...here(canResume, "resume-run", text.run.resume, () => startResume(id)),
      ...here(canCancel, "cancel-run", text.run.cancel, () => startCancel(id)),
    ];
  }, [id, canCancel, canResume, canPause, startCancel, startResume, startPause]);
  useActions(actions);

  const refused = cancel.error ?? resume.error ?? pause.error;
  return (
    <>
      {refused && <InlineError error={refused} />}
      {canPause && (
        <Button look="ghost" onClick={() => startPause(id)} busy={pause.pending}>
          <Icon name="pause" className="size-3.5" />
          <span className={narrow}>{pause.pending ? text.run.pausing : text.run.pause}</span>
        </Button>
      )}
      {open && (
        <Button onClick={() => startCancel(id)} busy={cancelling}>
          <Icon name="stop" className="size-3.5" />
          <span className={narrow}>{cancelling ? text.run.cancelling : text.run.cancel}</span>
        </Button>
      )}
      {canResume && (
        <Button look="primary" onClick={() => startResume(id)} busy={resume.pending}>
          <Icon name="runs" className="size-3.5" />
          <span className={narrow}>{resume.pending ? text.run.resuming : text.run.resume}</span>
        </Button>
      )}
      {!open && <RunAgain run={run} current={current} onCurrent={onCurrent} labelClass={narrow} />}
    </>
  );
}
