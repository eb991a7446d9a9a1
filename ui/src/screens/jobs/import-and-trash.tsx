// Definitions that come from elsewhere, and those that were deleted and can come back.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useMemo, useState } from "react";
import { useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { DeletedDefinition, ImportedDefinition } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { deletedQuery } from "../../data/queries";
import { readDefinitions } from "../../data/sync";
import { exactTime, when } from "../../format";
import { notify, notifyError } from "../../frame/notices";
import { Button } from "../../parts/button";
import { DialogFoot } from "../../parts/confirm";
import { Dialog } from "../../parts/dialog";
import { Field, Input } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { InlineError } from "../../parts/states";
import { text } from "../../text";

export function ImportAndTrash() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const deleted = useQuery(deletedQuery).data ?? [];
  const [trash, setTrash] = useState(false);
  /** Why a file was refused whose id is taken; another id would do. */
  const [taken, setTaken] = useState<string | null>(null);
  const importing = useCommand(
    (newId: string | null) => backend.importDefinition(newId),
    (result) => {
      if (result === null) return;
      setTaken(null);
      readDefinitions(client);
      void navigate({ to: "/jobs/$id", params: { id: result.definition.summary.id } });
      notify(told(result));
    },
    (error) => (error.code === "conflict" ? setTaken(error.message) : notifyError(error)),
  );
  const { start } = importing;
  const some = deleted.length > 0;
  useActions(
    useMemo(
      () => [
        { id: "import", title: text.jobs.import, group: "here" as const, run: () => start(null) },
        ...(some
          ? [{ id: "trash", title: text.jobs.deletedList, group: "here" as const, run: () => setTrash(true) }]
          : []),
      ],
      [start, some],
    ),
  );
  return (
    <>
      {some && (
        <Button look="ghost" onClick={() => setTrash(true)}>
          <Icon name="trash" className="size-3.5" />
          {text.jobs.deletedList}
        </Button>
      )}
      <Button onClick={() => start(null)} busy={importing.pending}>
        {text.jobs.import}
      </Button>
      <Dialog
        open={taken !== null}
        onClose={() => setTaken(null)}
        title={text.jobs.importTitle}
        closeLabel={text.jobs.cancel}
      >
        <OtherId
          problem={taken ?? ""}
          busy={importing.pending}
          onClose={() => setTaken(null)}
          onSubmit={start}
        />
      </Dialog>
      <Dialog
        open={trash}
        onClose={() => setTrash(false)}
        title={text.jobs.trashTitle}
        closeLabel={text.jobs.cancel}
      >
        <Trash deleted={deleted} onClose={() => setTrash(false)} />
      </Dialog>
    </>
  );
}

/** What the user should know before running what came from elsewhere. */
function told({ definition, profiles, allow_hosts }: ImportedDefinition) {
  const uses = [
    profiles.length > 0 && text.jobs.profiles(profiles),
    allow_hosts.length > 0 && text.jobs.hosts(allow_hosts),
  ].filter(Boolean);
  return {
    title: text.jobs.imported(definition.summary.name),
    about: [text.jobs.importedAbout, uses.length > 0 && text.jobs.importedUses(uses.join(" and "))]
      .filter(Boolean)
      .join(" "),
    good: uses.length === 0,
  };
}

type OtherIdProps = {
  problem: string;
  busy: boolean;
  onClose: () => void;
  onSubmit: (id: string) => void;
};

function OtherId({ problem, busy, onClose, onSubmit }: OtherIdProps) {
  const [id, setId] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy && id.trim() !== "") onSubmit(id.trim());
  };
  return (
    <form noValidate onSubmit={submit}>
      <div className="grid gap-3 p-4">
        <p>{problem}</p>
        <Field label={text.jobs.importId} help={text.jobs.idHelp}>
          {(wiring) => <Input {...wiring} value={id} onChange={(event) => setId(event.target.value)} />}
        </Field>
      </div>
      <DialogFoot onClose={onClose} submit={text.jobs.importAgain} busy={busy} />
    </form>
  );
}

function Trash({ deleted, onClose }: { deleted: DeletedDefinition[]; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const undelete = useCommand(backend.undeleteDefinition.bind(backend), ({ summary }) => {
    onClose();
    readDefinitions(client);
    void navigate({ to: "/jobs/$id", params: { id: summary.id } });
  });
  if (deleted.length === 0) return <p className="p-4 text-muted">{text.jobs.trashEmpty}</p>;
  return (
    <div className="overflow-y-auto">
      {undelete.error && (
        <div className="px-4 pt-3">
          <InlineError error={undelete.error} />
        </div>
      )}
      <ul>
        {deleted.map((one) => (
          <li
            key={one.entry}
            className="flex items-center gap-3 border-b border-line px-4 py-1.5 last:border-0"
          >
            <span className="min-w-0 flex-1 truncate font-mono text-label" title={one.file}>
              {one.file}
            </span>
            <time dateTime={one.deleted} title={exactTime(one.deleted)} className="num text-meta text-faint">
              {when(one.deleted)}
            </time>
            <Button
              aria-label={text.jobs.putBackNamed(one.file)}
              onClick={() => undelete.start(one.entry)}
              busy={undelete.pending}
            >
              {text.jobs.putBack}
            </Button>
          </li>
        ))}
      </ul>
    </div>
  );
}
