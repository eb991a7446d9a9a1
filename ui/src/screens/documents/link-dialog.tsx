// Asks before a link of a document leaves the collection: where it leads, and what to do with it.

import { backend } from "../../backend";
import { useCommand } from "../../data/hooks";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { CopyButton, InlineError } from "../../parts/states";
import { text } from "../../text";

/** A link as its document says it, and the address that it means. */
export type OutsideLink = { document: string; href: string; address: URL };

export function LinkDialog({ link, onClose }: { link: OutsideLink | null; onClose: () => void }) {
  return (
    <Dialog
      open={link !== null}
      onClose={onClose}
      title={text.reader.outside}
      closeLabel={text.reader.cancel}
      className="w-[32rem]"
    >
      {link && <Choice link={link} onClose={onClose} />}
    </Dialog>
  );
}

function Choice({ link, onClose }: { link: OutsideLink; onClose: () => void }) {
  const open = useCommand(() => backend.openLink(link.document, link.href), onClose);
  return (
    <form
      className="flex min-h-0 flex-col"
      // The key that pressed the link may still be down.
      onKeyDown={(event) => event.repeat && event.preventDefault()}
      onSubmit={(event) => {
        event.preventDefault();
        open.start(undefined);
      }}
    >
      <div className="grid gap-2.5 overflow-y-auto p-4">
        <Address url={link.address} />
        {open.error && <InlineError error={open.error} />}
      </div>
      <div className="flex flex-wrap justify-end gap-2 border-t border-line bg-bg0 px-4 py-3">
        <Button onClick={onClose}>{text.reader.cancel}</Button>
        <CopyButton label={text.reader.copyAddress} value={() => link.address.href} />
        <Button type="submit" look="primary" busy={open.pending}>
          {text.reader.openLink}
        </Button>
      </div>
    </form>
  );
}

/** The whole address, with the host standing out: it alone says whose page this is. */
function Address({ url }: { url: URL }) {
  // A user's name before the host may look like one; it ends at the first `@`.
  const user = url.username || url.password ? url.href.slice(0, url.href.indexOf("@") + 1) : "";
  const before = user || `${url.protocol}//`;
  return (
    <p className="code text-muted [overflow-wrap:anywhere]" data-testid="link-address">
      {before}
      <b className="font-semibold text-text">{url.host}</b>
      {url.href.slice(before.length + url.host.length)}
    </p>
  );
}
