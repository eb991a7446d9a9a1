// What pages of settings are made of: sections of lines, each with a name and its control.

import type { ReactNode } from "react";
import { Card } from "./page";

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h2 className="mb-2 text-ui font-semibold">{title}</h2>
      <Card>{children}</Card>
    </section>
  );
}

export function Line({
  name,
  about,
  mono,
  children,
}: {
  name: string;
  about?: string;
  mono?: boolean;
  children?: ReactNode;
}) {
  return (
    <div className="flex min-h-11 flex-wrap items-center gap-x-2 gap-y-1 border-b border-line px-3.5 py-1.5 last:border-0">
      <div className="min-w-0 flex-1 basis-48">
        <div>{name}</div>
        {about && (
          <div
            className={`text-muted [overflow-wrap:anywhere] ${mono ? "font-mono text-label leading-4.5" : "text-meta"}`}
          >
            {about}
          </div>
        )}
      </div>
      {children}
    </div>
  );
}
