// Fields of forms: label, input, selection, and what is wrong with them.

import { type ComponentProps, type ReactNode, useId } from "react";
import { Icon } from "./icon";

export const inputClass =
  "h-7 w-full min-w-0 rounded-m border border-edge bg-bg1 px-2 transition-colors duration-75 focus-visible:border-accent focus-visible:outline-offset-0 aria-invalid:border-error disabled:opacity-60";

type FieldProps = {
  label: string;
  help?: string;
  note?: string;
  error?: string | null;
  children: (wiring: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
};

/** A label, a control, and below it what is wrong or what it is for. */
export function Field({ label, help, note, error, children }: FieldProps) {
  const id = useId();
  const below = error ?? help;
  return (
    <div className="grid gap-1">
      <div className="flex items-baseline gap-2">
        <label htmlFor={id} className="text-meta font-medium">
          {label}
        </label>
        {note && <span className="text-label text-faint">{note}</span>}
      </div>
      {children({
        id,
        ...(below ? { "aria-describedby": `${id}-below` } : {}),
        ...(error ? { "aria-invalid": true as const } : {}),
      })}
      {below && (
        <p
          id={`${id}-below`}
          role={error ? "alert" : undefined}
          className={`text-meta [overflow-wrap:anywhere] ${error ? "text-error" : "text-muted"}`}
        >
          {below}
        </p>
      )}
    </div>
  );
}

export function Input({ className = "", ...rest }: ComponentProps<"input">) {
  return <input spellCheck={false} autoComplete="off" {...rest} className={`${inputClass} ${className}`} />;
}

/** A search or filter box; the label is not drawn, the icon and the placeholder say it. */
export function SearchInput({ label, className = "", ...rest }: ComponentProps<"input"> & { label: string }) {
  return (
    <div className={`relative ${className}`}>
      <Icon name="search" className="pointer-events-none absolute top-1.5 left-2 size-4 text-faint" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        spellCheck={false}
        autoComplete="off"
        {...rest}
        className={`${inputClass} pl-7.5`}
      />
    </div>
  );
}

export function Select<T extends string>({
  label,
  value,
  options,
  onChange,
  className = "",
}: {
  label: string;
  value: T;
  options: [T, string][];
  onChange: (value: T) => void;
  className?: string;
}) {
  return (
    <div className={`relative ${className}`}>
      <select
        aria-label={label}
        value={value}
        onChange={(event) => onChange(event.target.value as T)}
        className={`${inputClass} appearance-none pr-7`}
      >
        {options.map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
      <Icon name="down" className="pointer-events-none absolute top-1.5 right-1.5 size-4 text-faint" />
    </div>
  );
}

/** One of a few, all in view. */
export function Segments<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: [T, ReactNode][];
  onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset className="inline-flex h-7 shrink-0 rounded-m border border-edge">
      <legend className="sr-only">{label}</legend>
      {options.map(([key, text]) => (
        <label
          key={key}
          className="relative flex items-center border-l border-line px-2.5 whitespace-nowrap text-muted first-of-type:border-l-0 first-of-type:rounded-l-[5px] last-of-type:rounded-r-[5px] hover:text-text has-checked:bg-bg2 has-checked:font-medium has-checked:text-text has-focus-visible:outline-2 has-focus-visible:outline-accent has-focus-visible:outline-offset-2"
        >
          <input
            type="radio"
            name={name}
            checked={value === key}
            onChange={() => onChange(key)}
            className="absolute inset-0 appearance-none opacity-0"
          />
          {text}
        </label>
      ))}
    </fieldset>
  );
}
