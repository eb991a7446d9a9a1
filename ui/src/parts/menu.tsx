// A button that opens a menu of actions. Base UI gives it the keys of a menu.

import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";
import { Icon } from "./icon";

const popup =
  "min-w-44 max-w-[calc(100vw-2rem)] rounded-l border border-line bg-bg1 p-1 shadow-pop outline-none";
const item =
  "flex min-h-7 items-center gap-2 rounded-m px-2 py-1 outline-none select-none data-highlighted:bg-bg2 data-disabled:text-faint data-popup-open:bg-bg2";

/** `trigger` is drawn as the button; `children` are `MenuItem`s and the like. */
export function Menu({ trigger, children }: { trigger: ReactElement; children: ReactNode }) {
  return (
    <Base.Root modal={false}>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner align="end" sideOffset={4} className="z-20 outline-none">
          <Base.Popup className={popup}>{children}</Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

export function MenuItem({
  onClick,
  disabled = false,
  children,
}: {
  onClick: () => void;
  disabled?: boolean;
  children: ReactNode;
}) {
  return (
    <Base.Item onClick={onClick} disabled={disabled} className={item}>
      {children}
    </Base.Item>
  );
}

export function MenuLine() {
  return <Base.Separator className="-mx-1 my-1 h-px bg-line" />;
}

export function SubMenu({
  label,
  disabled = false,
  children,
}: {
  label: string;
  disabled?: boolean;
  children: ReactNode;
}) {
  return (
    <Base.SubmenuRoot disabled={disabled}>
      <Base.SubmenuTrigger className={item}>
        <span className="flex-1">{label}</span>
        <Icon name="right" className="size-3.5 text-faint" />
      </Base.SubmenuTrigger>
      <Base.Portal>
        <Base.Positioner className="z-20 outline-none">
          <Base.Popup className={`${popup} max-h-80 overflow-y-auto`}>{children}</Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.SubmenuRoot>
  );
}

/** A choice that stays while the menu is open. */
export function MenuCheck({
  checked,
  onChange,
  about,
  children,
}: {
  checked: boolean;
  onChange: (on: boolean) => void;
  about: string;
  children: ReactNode;
}) {
  return (
    <Base.CheckboxItem
      checked={checked}
      onCheckedChange={onChange}
      closeOnClick={false}
      className={`${item} items-start`}
    >
      <span className="mt-0.5 grid size-4 shrink-0 place-items-center rounded-s border border-edge">
        <Base.CheckboxItemIndicator className="grid text-accent">
          <Icon name="check" className="size-3" />
        </Base.CheckboxItemIndicator>
      </span>
      <span>
        {children}
        <span className="block text-meta text-muted">{about}</span>
      </span>
    </Base.CheckboxItem>
  );
}
