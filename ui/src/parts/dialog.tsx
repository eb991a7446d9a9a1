// A dialog over the window, with a title and a way to close it.

import { Dialog as Base } from "@base-ui/react/dialog";
import { type ReactNode, useRef } from "react";
import { IconButton } from "./button";
import { Icon } from "./icon";

type Props = {
  open: boolean;
  onClose: () => void;
  title: string;
  /** Only for those who cannot see the window: the content says it to the others. */
  hideTitle?: boolean;
  closeLabel: string;
  /** A click beside it does not close it. */
  steadfast?: boolean;
  className?: string;
  children: ReactNode;
};

export function Dialog({
  open,
  onClose,
  title,
  hideTitle,
  closeLabel,
  steadfast = false,
  className = "w-[28rem]",
  children,
}: Props) {
  const popup = useRef<HTMLDivElement>(null);
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()} disablePointerDismissal={steadfast}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 bg-scrim" />
        <Base.Popup
          ref={popup}
          // The first field, or else what Enter does; not the button that closes.
          initialFocus={() =>
            popup.current?.querySelector<HTMLElement>("input") ??
            popup.current?.querySelector<HTMLElement>("[type=submit]") ??
            true
          }
          className={`fixed top-[12vh] left-1/2 flex max-h-[76vh] max-w-[calc(100vw-2rem)] -translate-x-1/2 flex-col overflow-hidden rounded-l border border-line bg-bg1 shadow-pop outline-none ${className}`}
        >
          {hideTitle ? (
            <Base.Title className="sr-only">{title}</Base.Title>
          ) : (
            <div className="flex items-center border-b border-line py-2 pr-2 pl-4">
              <Base.Title className="flex-1 truncate text-strong font-semibold">{title}</Base.Title>
              <Base.Close render={<IconButton label={closeLabel} />}>
                <Icon name="close" />
              </Base.Close>
            </div>
          )}
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
