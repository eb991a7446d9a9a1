// What is told above every screen while work waits for the storage: why, and what to do.

import { useQuery } from "@tanstack/react-query";
import { storageWaitQuery } from "../data/queries";
import { Icon } from "../parts/icon";
import { text } from "../text";

export function StorageWait() {
  const error = useQuery(storageWaitQuery).data ?? null;
  if (!error) return null;
  return (
    <div role="alert" className="flex items-start gap-2.5 border-b border-line bg-bg2 px-5 py-2.5">
      <Icon name="warn" className="mt-0.5 size-4 shrink-0 text-warn" />
      <p className="min-w-0 [overflow-wrap:anywhere]">
        <strong className="font-semibold">{text.storageWait}</strong>{" "}
        <span className="text-muted">
          {error.message} {error.hint}
        </span>
      </p>
    </div>
  );
}
