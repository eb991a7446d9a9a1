// What every screen is made of: its bar, its title, cards and facts.

import { type ReactNode, useEffect } from "react";
import { text } from "../text";

/** A screen: a bar with its name, what belongs to it, and its actions; below, its content. */
export function Page({
  title,
  heading,
  actions,
  children,
}: {
  title: string;
  heading?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useTitle(title);
  return (
    <>
      <header className="flex h-12 shrink-0 items-center gap-2.5 border-b border-line px-4">
        <div className="flex min-w-0 flex-1 items-center gap-2.5">
          {heading ?? <PageTitle>{title}</PageTitle>}
        </div>
        {actions}
      </header>
      {children}
    </>
  );
}

export function PageTitle({ children }: { children: ReactNode }) {
  return <h1 className="truncate text-ui font-semibold">{children}</h1>;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === text.app ? title : `${title} · ${text.app}`;
  }, [title]);
}

export function Card({ children, className = "" }: { children: ReactNode; className?: string }) {
  return <div className={`overflow-hidden rounded-l border border-line bg-bg1 ${className}`}>{children}</div>;
}

/** A name and its value, as in a list of facts. */
export function Fact({ name, children, mono }: { name: string; children: ReactNode; mono?: boolean }) {
  return (
    <div className="contents">
      <dt className="text-meta text-faint">{name}</dt>
      <dd className={`num min-w-0 [overflow-wrap:anywhere] ${mono ? "code" : "text-meta"}`}>{children}</dd>
    </div>
  );
}

export function Facts({ children }: { children: ReactNode }) {
  return <dl className="grid grid-cols-[max-content_1fr] items-baseline gap-x-4 gap-y-1.5">{children}</dl>;
}
