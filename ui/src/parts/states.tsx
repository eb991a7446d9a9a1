// The states that every place has besides being full: loading, empty, failed.

import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { asApiError } from "../backend/backend";
import type { ApiError } from "../backend/types";
import { text } from "../text";
import { Button } from "./button";
import { Icon, type IconName } from "./icon";

export function Empty({
  icon,
  title,
  about,
  children,
}: {
  icon: IconName;
  title: string;
  about?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <div className="grid justify-items-center gap-1.5 px-6 py-12 text-center">
      <div className="mb-1 text-faint">
        <Icon name={icon} className="size-6" />
      </div>
      <p className="text-strong font-semibold">{title}</p>
      {about && <p className="max-w-[44ch] text-muted">{about}</p>}
      {children && <div className="mt-2 flex flex-wrap justify-center gap-2">{children}</div>}
    </div>
  );
}

/** What happened, why, and what to do, with the button that does it. */
export function Failed({
  error: thrown,
  retry,
  children,
}: {
  error: unknown;
  retry?: () => void;
  children?: ReactNode;
}) {
  const error = asApiError(thrown);
  return (
    <div role="alert" className="grid justify-items-start gap-1.5 px-6 py-10 mx-auto max-w-[34rem]">
      <p className="flex items-center gap-2 text-strong font-semibold">
        <Icon name="warn" className="size-4 text-error" />
        {text.failed.title[error.code]}
      </p>
      <p className="[overflow-wrap:anywhere]">{error.message}</p>
      <p className="text-muted">{error.hint ?? text.failed.hint[error.code]}</p>
      <div className="mt-2 flex flex-wrap gap-2">
        {retry && (
          <Button onClick={retry} look="primary">
            {text.failed.retry}
          </Button>
        )}
        {children}
        <CopyButton label={text.failed.copy} value={() => details(error)} />
      </div>
    </div>
  );
}

/** The same in a few lines, for a place inside a page. */
export function InlineError({ error, id }: { error: ApiError; id?: string }) {
  return (
    <p
      id={id}
      role="alert"
      className="flex items-start gap-1.5 text-meta text-error [overflow-wrap:anywhere]"
    >
      <Icon name="warn" className="mt-px size-3.5" />
      <span>
        {error.message}
        {error.hint && ` ${error.hint}`}
        {isNotSetUp(error) && (
          <>
            {" "}
            <Link to="/settings" className="underline">
              {text.actions.settings}
            </Link>
          </>
        )}
      </span>
    </p>
  );
}

/** Whether something that a step needs is missing, so that the same wish again means: all the same. */
export function isNotSetUp(error: ApiError | null): boolean {
  return error?.code === "not_set_up";
}

export function details(error: ApiError): string {
  const place = error.where ? ` (${error.where.file}:${error.where.line}:${error.where.column})` : "";
  return `${error.code}: ${error.message}${place}${error.hint ? `\n${error.hint}` : ""}`;
}

export function CopyButton({
  label,
  value,
  labelClass,
}: {
  label: string;
  value: () => string;
  labelClass?: string;
}) {
  const [copied, setCopied] = useState(false);
  return (
    <Button
      onClick={async () => {
        await navigator.clipboard.writeText(value());
        setCopied(true);
      }}
      onBlur={() => setCopied(false)}
    >
      <Icon name={copied ? "check" : "copy"} className="size-3.5" />
      <span aria-live="polite" className={labelClass}>
        {copied ? text.failed.copied : label}
      </span>
    </Button>
  );
}

/** Rows of the height of what will come, so that nothing jumps. */
export function SkeletonRows({ rows = 6, className = "h-8" }: { rows?: number; className?: string }) {
  return (
    <div role="status" aria-label={text.loading} className="w-full">
      {Array.from({ length: rows }, (_, row) => (
        <div
          key={row}
          className={`flex items-center gap-3 border-b border-line px-3 last:border-0 ${className}`}
        >
          <div className="size-3.5 shrink-0 rounded-full bg-bg2" />
          <div className="h-2.5 rounded-s bg-bg2" style={{ width: `${34 + ((row * 29) % 40)}%` }} />
        </div>
      ))}
    </div>
  );
}

export function SkeletonText({ lines = 8 }: { lines?: number }) {
  return (
    <div role="status" aria-label={text.loading} className="grid max-w-[72ch] gap-2.5">
      <div className="mb-2 h-5 w-1/2 rounded-s bg-bg2" />
      {Array.from({ length: lines }, (_, line) => (
        <div
          key={line}
          className="h-2.5 rounded-s bg-bg2"
          style={{ width: `${line % 4 === 3 ? 52 : 92 - ((line * 7) % 11)}%` }}
        />
      ))}
    </div>
  );
}
