// What can be done with a definition's file: copy, export, delete.

import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useMemo, useRef, useState } from "react";
import { type Action, useActions } from "../../actions/registry";
import { backend } from "../../backend";
import type { DefinitionSummary } from "../../backend/types";
import { useCommand, useDefinitions } from "../../data/hooks";
import { readDefinitions } from "../../data/sync";
import { notify, notifyError } from "../../frame/notices";
import { Button, IconButton } from "../../parts/button";
import { DialogFoot } from "../../parts/confirm";
import { Dialog } from "../../parts/dialog";
import { Field, Input } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { Menu, MenuItem, MenuLine } from "../../parts/menu";
import { text } from "../../text";

export function DefinitionActions({ definition }: { definition: DefinitionSummary }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [copying, setCopying] = useState(false);
  const own = definition.origin === "user";
  const { id, name } = definition;
  const copyName = own ? text.jobs.duplicate : text.jobs.copyToEdit;

  const { exportIt, deleteIt } = useMemo(() => {
    const goTo = (to: string) => void navigate({ to: "/jobs/$id", params: { id: to } });
    return {
      exportIt: () =>
        backend.exportDefinition(id).then((file) => {
          if (file !== null)
            notify({ title: text.jobs.exported, about: text.jobs.exportedAbout(file), good: true });
        }, notifyError),
      deleteIt: () =>
        backend.deleteDefinition(id).then(({ entry }) => {
          void navigate({ to: "/jobs" }).then(() => readDefinitions(client));
          const undo = () =>
            backend.undeleteDefinition(entry).then((back) => {
              notify(null);
              readDefinitions(client);
              goTo(back.summary.id);
            }, notifyError);
          notify({
            title: text.jobs.deletedNotice(name),
            about: text.jobs.deletedAbout,
            good: true,
            action: { label: text.jobs.undo, run: () => void undo() },
          });
        }, notifyError),
    };
  }, [id, name, navigate, client]);

  useActions(
    useMemo((): Action[] => {
      const here = (id: string, title: string, run: () => void): Action => ({
        id,
        title,
        group: "here",
        run,
      });
      return [
        here("copy-this", copyName, () => setCopying(true)),
        here("export-this", text.jobs.export, () => void exportIt()),
        ...(own ? [here("delete-this", text.jobs.delete, () => void deleteIt())] : []),
      ];
    }, [own, copyName, exportIt, deleteIt]),
  );

  return (
    <>
      {!own && <Button onClick={() => setCopying(true)}>{copyName}</Button>}
      <Menu
        trigger={
          <IconButton label={text.jobs.more} className="border border-line">
            <Icon name="menu" />
          </IconButton>
        }
      >
        {own && <MenuItem onClick={() => setCopying(true)}>{copyName}</MenuItem>}
        <MenuItem onClick={() => void exportIt()}>{text.jobs.export}</MenuItem>
        {own && (
          <>
            <MenuLine />
            <MenuItem onClick={() => void deleteIt()}>
              <Icon name="trash" className="size-3.5" />
              {text.jobs.delete}
            </MenuItem>
          </>
        )}
      </Menu>
      <Dialog
        open={copying}
        onClose={() => setCopying(false)}
        title={text.jobs.copyTitle(name)}
        closeLabel={text.jobs.cancel}
      >
        <CopyForm id={id} onClose={() => setCopying(false)} />
      </Dialog>
    </>
  );
}

function CopyForm({ id, onClose }: { id: string; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const taken = useDefinitions().data?.map((one) => one.id) ?? [];
  const [newId, setNewId] = useState(() => freeId(id, taken));
  const input = useRef<HTMLInputElement>(null);
  const copy = useCommand(
    (to: string) => backend.copyDefinition(id, to),
    ({ summary }) => {
      onClose();
      readDefinitions(client);
      void navigate({ to: "/jobs/$id", params: { id: summary.id } });
    },
  );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!copy.pending) copy.start(newId.trim());
    input.current?.focus();
  };
  return (
    <form noValidate onSubmit={submit}>
      <div className="grid gap-3 p-4">
        <p className="text-muted">{text.jobs.copyAbout}</p>
        <Field
          label={text.jobs.id}
          help={text.jobs.idHelp}
          error={copy.error && [copy.error.message, copy.error.hint].filter(Boolean).join(" ")}
        >
          {(wiring) => (
            <Input
              {...wiring}
              ref={input}
              value={newId}
              onChange={(event) => {
                setNewId(event.target.value);
                copy.reset();
              }}
            />
          )}
        </Field>
      </div>
      <DialogFoot onClose={onClose} submit={text.jobs.copySubmit} busy={copy.pending} />
    </form>
  );
}

/** The first id after `id` that no definition has. */
export function freeId(id: string, taken: string[]): string {
  for (let n = 2; ; n += 1) if (!taken.includes(`${id}-${n}`)) return `${id}-${n}`;
}
