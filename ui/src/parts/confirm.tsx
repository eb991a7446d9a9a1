// Asks before something that cannot simply be undone, or after something was refused. It says what will
// happen, and the button names it.

import type { ReactNode } from "react";
import type { ApiError } from "../backend/types";
import { text } from "../text";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { InlineError } from "./states";

type Props = {
  open: boolean;
  onClose: () => void;
  title: string;
  submit: string;
  onSubmit: () => void;
  busy: boolean;
  error: ApiError | null;
  children?: ReactNode;
};

export function Confirm({ open, onClose, title, submit, onSubmit, busy, error, children }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title={title} closeLabel={text.jobs.cancel}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) onSubmit();
        }}
        className="flex min-h-0 flex-col"
      >
        <div className="grid gap-3 overflow-y-auto p-4">
          {children}
          {error && <InlineError error={error} />}
        </div>
        <DialogFoot onClose={onClose} submit={submit} busy={busy} />
      </form>
    </Dialog>
  );
}

export function DialogFoot({
  onClose,
  submit,
  busy,
}: {
  onClose: () => void;
  submit: string;
  busy: boolean;
}) {
  return (
    <div className="flex justify-end gap-2 border-t border-line bg-bg0 px-4 py-3">
      <Button onClick={onClose}>{text.jobs.cancel}</Button>
      <Button type="submit" look="primary" busy={busy}>
        {submit}
      </Button>
    </div>
  );
}
