// The sheet of keyboard shortcuts, and how a shortcut is drawn.

import { Dialog } from "../parts/dialog";
import { text } from "../text";
import { type Group, useAllActions } from "./registry";
import { caps } from "./shortcuts";

const ORDER: Group[] = ["here", "go", "window"];

export function KeysSheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  const actions = useAllActions().filter((action) => action.keys);
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={text.keys.title}
      closeLabel={text.keys.close}
      className="w-[30rem]"
    >
      <div className="grid gap-4 overflow-y-auto p-4">
        {ORDER.map((group) => {
          const members = actions.filter((action) => action.group === group);
          if (members.length === 0) return null;
          return (
            <section key={group}>
              <h2 className="mb-1 text-label font-medium text-faint">{text.palette.groups[group]}</h2>
              <dl>
                {members.map((action) => (
                  <div key={action.id} className="flex h-7.5 items-center border-b border-line last:border-0">
                    <dt className="flex-1">{action.title}</dt>
                    <dd>
                      <Keys keys={action.keys ?? ""} />
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
          );
        })}
      </div>
    </Dialog>
  );
}

export function Keys({ keys }: { keys: string }) {
  return (
    <span className="flex shrink-0 items-center gap-1">
      {caps(keys).map((cap, at) => (
        <span key={`${at}-${cap}`} className="flex items-center gap-1">
          {at > 0 && <span className="text-label text-faint">{text.keys.next}</span>}
          <kbd>{cap}</kbd>
        </span>
      ))}
    </span>
  );
}
