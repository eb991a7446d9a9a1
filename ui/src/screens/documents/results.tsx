// The list of what was found: virtual rows of one height, moved through by j, k and the arrow keys.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { useRem } from "../../appearance";
import { backend } from "../../backend";
import type { DocumentHit } from "../../backend/types";
import { when } from "../../format";
import { Button } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { text } from "../../text";

export type ResultsHandle = {
  /** Moves the keyboard by so many results; 0 returns it to where it was. */
  move: (by: number) => void;
};

type Props = {
  ref?: Ref<ResultsHandle>;
  hits: DocumentHit[];
  total: number;
  /** Whether the best come first, not the newest. */
  ranked: boolean;
  shown: string | null;
  /** When the list was read. */
  readAt: number;
  onOpen: (id: string) => void;
  onRefresh: () => void;
  onEnd: () => void;
};

export function Results({ ref, hits, total, ranked, shown, readAt, onOpen, onRefresh, onEnd }: Props) {
  const rem = useRem();
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(-1);
  const newer = useNewer(readAt);
  const virtual = useVirtualizer({
    count: hits.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 5.5 * rem,
    overscan: 6,
    useFlushSync: false,
    getItemKey: (at) => hits[at]?.id ?? at,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text size, other heights
  useEffect(() => virtual.measure(), [rem]);
  const items = virtual.getVirtualItems();
  const lastSeen = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (lastSeen >= hits.length - 10) onEnd();
  });

  const current = active >= 0 ? active : hits.findIndex((hit) => hit.id === shown);
  const move = (by: number) => {
    const next = Math.max(0, Math.min(hits.length - 1, current + by));
    setActive(next);
    virtual.scrollToIndex(next);
    // The row may only be drawn after the scroll.
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-at="${next}"]`)?.focus());
  };
  useImperativeHandle(ref, () => ({ move }));

  const onKeyDown = (event: KeyboardEvent) => {
    const keys: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: 6,
      PageUp: -6,
      Home: -hits.length,
      End: hits.length,
    };
    const by = keys[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(by);
  };

  return (
    <>
      <div className="flex min-h-8 shrink-0 items-center gap-2 border-b border-line px-4">
        <span role="status" className="num flex-1 text-meta text-faint">
          {ranked ? text.documents.results(total) : text.documents.newest(total)}
        </span>
        {newer > 0 && (
          <Button look="ghost" onClick={onRefresh} className="-mr-2 h-6!">
            {text.documents.newer(newer)}
          </Button>
        )}
      </div>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: it hears the keys of the buttons inside */}
      <div ref={scroller} onKeyDown={onKeyDown} className="min-h-0 flex-1 overflow-y-auto">
        <ul className="relative" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const hit = hits[item.index];
            if (!hit) return null;
            return (
              <li
                key={item.key}
                aria-setsize={total}
                aria-posinset={item.index + 1}
                className="absolute inset-x-0 top-0 h-22 border-b border-line"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <button
                  type="button"
                  data-at={item.index}
                  data-testid="search-result"
                  aria-current={hit.id === shown ? "true" : undefined}
                  tabIndex={item.index === Math.max(0, current) ? 0 : -1}
                  onFocus={() => setActive(item.index)}
                  onClick={() => onOpen(hit.id)}
                  className={`grid h-full w-full content-center gap-0.5 overflow-hidden px-4 text-left outline-offset-[-2px] transition-colors duration-75 ${hit.id === shown ? "selected" : "hover:bg-bg0"}`}
                >
                  <Hit hit={hit} />
                </button>
              </li>
            );
          })}
        </ul>
      </div>
    </>
  );
}

function Hit({ hit }: { hit: DocumentHit }) {
  return (
    <>
      <span className="flex min-w-0 items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate font-medium">{hit.title}</span>
        <span className="num shrink-0 text-label text-faint">{when(hit.last_synced)}</span>
      </span>
      <span className="line-clamp-2 h-[2.9em] text-meta text-muted [overflow-wrap:anywhere]">
        {hit.snippet.map((part, at) =>
          part.hit ? <mark key={at}>{part.text}</mark> : <span key={at}>{part.text}</span>,
        )}
      </span>
      <span className="flex min-w-0 items-center gap-1 text-label text-faint">
        <Icon name={hit.source_type === "web" ? "site" : "documents"} className="size-3" />
        <span className="truncate">{place(hit)}</span>
      </span>
    </>
  );
}

/** Where it comes from, without what all addresses share. */
function place(hit: DocumentHit): string {
  return (hit.url ?? hit.source_id).replace(/^https?:\/\//, "");
}

/** Documents written since the list was read. */
function useNewer(readAt: number): number {
  const [newer, setNewer] = useState({ readAt, count: 0 });
  useEffect(
    () =>
      backend.subscribe((happening) => {
        if (happening.kind !== "saved") return;
        const { count } = happening.saved;
        setNewer((old) => (old.readAt === readAt ? { readAt, count: old.count + count } : { readAt, count }));
      }),
    [readAt],
  );
  return newer.readAt === readAt ? newer.count : 0;
}
