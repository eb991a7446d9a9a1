// Buttons, and links that look like them.

import { Link, type LinkProps } from "@tanstack/react-router";
import type { ComponentProps, ReactNode } from "react";

type Look = "plain" | "primary" | "ghost";

const looks: Record<Look, string> = {
  plain: "border-line bg-bg1 text-text hover:bg-bg2 hover:border-edge",
  primary:
    "border-accent bg-accent text-on-accent hover:bg-[color-mix(in_oklch,var(--accent)_88%,var(--text))] hover:border-transparent",
  ghost: "border-transparent text-muted hover:bg-bg2 hover:text-text",
};

/** A link within a sentence: told apart by more than its colour. */
export const linkClass =
  "text-accent underline decoration-[color-mix(in_oklch,var(--accent)_45%,transparent)] underline-offset-2 hover:decoration-accent";

export function buttonClass(look: Look = "plain", extra = ""): string {
  return `inline-flex h-7 shrink-0 items-center justify-center gap-1.5 rounded-m border px-2.5 font-medium whitespace-nowrap transition-colors duration-75 disabled:opacity-55 disabled:pointer-events-none aria-disabled:opacity-55 ${looks[look]} ${extra}`;
}

type ButtonProps = ComponentProps<"button"> & { look?: Look; busy?: boolean };

/** `busy` keeps it focusable and in place but makes another press do nothing. */
export function Button({
  look = "plain",
  busy = false,
  className = "",
  onClick,
  type = "button",
  ...rest
}: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      aria-disabled={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      className={buttonClass(look, className)}
    />
  );
}

export function IconButton({ label, className = "", ...rest }: ComponentProps<"button"> & { label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={`grid size-7 shrink-0 place-items-center rounded-m text-muted transition-colors duration-75 hover:bg-bg2 hover:text-text disabled:opacity-50 ${className}`}
    />
  );
}

export function LinkButton({
  look,
  className,
  children,
  ...rest
}: LinkProps & { look?: Look; className?: string; children: ReactNode }) {
  return (
    <Link {...(rest as LinkProps)} className={buttonClass(look, className)}>
      {children}
    </Link>
  );
}
