// A switch: on or off, at once.

import { Switch } from "@base-ui/react/switch";

export function Toggle({
  label,
  id,
  checked,
  onChange,
}: {
  label?: string;
  id?: string;
  checked: boolean;
  onChange: (on: boolean) => void;
}) {
  return (
    <Switch.Root
      id={id}
      aria-label={label}
      checked={checked}
      onCheckedChange={onChange}
      className="flex h-6 w-10 shrink-0 items-center rounded-full border border-edge bg-bg2 px-0.75 transition-colors duration-75 data-checked:border-accent data-checked:bg-accent"
    >
      <Switch.Thumb className="size-4 rounded-full bg-edge transition-transform duration-75 data-checked:translate-x-4 data-checked:bg-on-accent" />
    </Switch.Root>
  );
}
