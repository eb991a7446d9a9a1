// One document, to be read: where it comes from, its text, and its outline.

import { Popover } from "@base-ui/react/popover";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import { backend } from "../../backend";
import type { DocumentView } from "../../backend/types";
import { documentQuery } from "../../data/queries";
import { exactTime, when } from "../../format";
import { notifyError } from "../../frame/notices";
import { Button, IconButton } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Fact, Facts } from "../../parts/page";
import { SanitizedHtml } from "../../parts/sanitized-html";
import { CopyButton, Failed, SkeletonText } from "../../parts/states";
import { text } from "../../text";
import { LinkDialog, type OutsideLink } from "./link-dialog";
import { PriceChart, pricesOf } from "./price-chart";

type Props = { id: string; onBack: () => void; onOpen: (id: string) => void; onTag: (tag: string) => void };

export function ReadingPane({ id, onBack, onOpen, onTag }: Props) {
  const { data, error, isPending, refetch } = useQuery(documentQuery(id));
  const [leaving, setLeaving] = useState<OutsideLink | null>(null);
  return (
    <section
      aria-label={text.reader.label}
      data-testid="reading-pane"
      className="@container/pane flex min-w-0 flex-1 flex-col"
      onKeyDown={(event) => {
        // What opens above the pane is its child only to React; Escape closes that and not the pane.
        const here = event.currentTarget.contains(event.target as Node);
        if (event.key === "Escape" && here && leaving === null) onBack();
      }}
    >
      {isPending ? (
        <div className="p-8">
          <SkeletonText lines={12} />
        </div>
      ) : error ? (
        <Failed error={error} retry={() => void refetch()}>
          <Button onClick={onBack}>{text.documents.back}</Button>
        </Failed>
      ) : (
        <Reader document={data} onBack={onBack} onOpen={onOpen} onTag={onTag} onLeave={setLeaving} />
      )}
      <LinkDialog link={leaving} onClose={() => setLeaving(null)} />
    </section>
  );
}

/** In a narrow pane a button is its icon; the name stays for those who listen. */
const narrow = "@max-[34rem]/pane:sr-only";

type Heading = { text: string; level: number; element: HTMLElement };

type ReaderProps = Omit<Props, "id"> & { document: DocumentView; onLeave: (link: OutsideLink) => void };

function Reader({ document, onBack, onOpen, onTag, onLeave }: ReaderProps) {
  const body = useRef<HTMLDivElement>(null);
  const headings = useHeadings(body, document);
  const prices = useMemo(() => pricesOf(document.metadata), [document.metadata]);
  const onLink = useLinks(body, document, onOpen, onLeave);
  return (
    <>
      <header className="flex shrink-0 items-center gap-1.5 border-b border-line py-1.5 pr-3 pl-6">
        <IconButton
          label={text.documents.back}
          onClick={onBack}
          className="-ml-3 hidden @max-[40rem]/main:grid"
        >
          <Icon name="right" className="size-4 rotate-180" />
        </IconButton>
        <span className="min-w-0 flex-1 truncate text-meta text-faint" title={document.source_id}>
          {document.source_id}
        </span>
        {headings.length > 1 && <OutlineButton headings={headings} />}
        <CopyButton label={text.reader.copy} value={() => document.markdown} labelClass={narrow} />
        <Button onClick={() => backend.openSource(document.id).catch(notifyError)}>
          <Icon name={document.source_type === "web" ? "out" : "openFolder"} className="size-3.5" />
          <span className={narrow}>
            {document.source_type === "web" ? text.reader.openWeb : text.reader.openFile}
          </span>
        </Button>
      </header>
      <div className="flex min-h-0 flex-1">
        <article
          tabIndex={0}
          aria-label={document.title}
          className="min-w-0 flex-1 overflow-y-auto outline-offset-[-2px]"
        >
          <div className="mx-auto max-w-[46rem] px-6 pt-6 pb-16">
            <h2 className="text-[1.625rem] leading-8 font-semibold tracking-[-0.01em] text-balance [overflow-wrap:anywhere]">
              {document.title}
            </h2>
            <Origin document={document} onTag={onTag} />
            {document.gone !== null && (
              <p data-testid="gone" className="tinted mb-4 rounded-m border px-3 py-2 text-warn">
                <span className="text-text">{text.reader.gone(when(document.gone))}</span>
              </p>
            )}
            {document.truncated && (
              <p className="tinted mb-4 rounded-m border px-3 py-2 text-warn">
                <span className="text-text">{text.reader.truncated}</span>
              </p>
            )}
            {prices.length > 0 && <PriceChart key={document.id} days={prices} />}
            {document.html.trim() === "" ? (
              <p className="text-muted">{text.reader.empty}</p>
            ) : (
              <SanitizedHtml ref={body} html={document.html} onLink={onLink} className="prose" />
            )}
          </div>
        </article>
        {headings.length > 1 && (
          <nav
            aria-label={text.reader.outline}
            className="w-48 shrink-0 overflow-y-auto border-l border-line py-5 pr-3 pl-2 @max-[50rem]/pane:hidden"
          >
            <Outline headings={headings} />
          </nav>
        )}
      </div>
    </>
  );
}

/** The headings; beside the text where there is room, else behind a button. */
function Outline({ headings }: { headings: Heading[] }) {
  return (
    <>
      <h3 className="mb-1 px-2 text-label font-medium text-faint">{text.reader.outline}</h3>
      <ul>
        {headings.map(({ text: name, level, element }, at) => (
          <li key={at}>
            <button
              type="button"
              onClick={() => element.scrollIntoView({ block: "start" })}
              style={{ paddingLeft: `${0.5 + (level - 2) * 0.625}rem` }}
              className="min-h-6 w-full rounded-s py-0.5 pr-2 text-left text-meta text-muted hover:bg-bg2 hover:text-text"
            >
              {name}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function OutlineButton({ headings }: { headings: Heading[] }) {
  return (
    <Popover.Root>
      <Popover.Trigger
        render={<IconButton label={text.reader.outline} className="@min-[50rem]/pane:hidden" />}
      >
        <Icon name="outline" />
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner side="bottom" align="end" sideOffset={6} className="z-10">
          <Popover.Popup
            aria-label={text.reader.outline}
            className="max-h-[60vh] w-64 overflow-y-auto rounded-l border border-line bg-bg1 p-2.5 shadow-pop outline-none"
          >
            <Outline headings={headings} />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

/** What is larger is data for programs. */
const MOST_SHOWN = 400;

function shown(value: unknown): string {
  const said = typeof value === "object" ? JSON.stringify(value) : String(value);
  return said.length > MOST_SHOWN ? text.reader.large(said.length) : said;
}

/** The documents whose figures a document has taken over. */
const BUILT_FROM = "built_from";

function Documents({ ids }: { ids: string[] }) {
  return (
    <span className="flex flex-wrap gap-x-3">
      {ids.map((id) => (
        <Link
          key={id}
          to="/documents"
          search={{ doc: id }}
          className="text-accent underline underline-offset-2"
        >
          {text.reader.documentLink(id)}
        </Link>
      ))}
    </span>
  );
}

function Origin({ document, onTag }: { document: DocumentView; onTag: (tag: string) => void }) {
  const facts = Object.entries((document.metadata ?? {}) as Record<string, unknown>).filter(
    ([, value]) => value !== null && value !== "",
  );
  return (
    <div className="mt-2 mb-5 grid gap-2 border-b border-line pb-4">
      <div className="flex flex-wrap items-center gap-1.5">
        {document.tags.map((tag) => (
          <button
            key={tag}
            type="button"
            onClick={() => onTag(tag)}
            title={`tag:${tag}`}
            className="inline-flex h-6 items-center rounded-l border border-line px-2 text-label text-muted hover:border-edge hover:text-text"
          >
            {tag}
          </button>
        ))}
      </div>
      <details className="text-meta">
        <summary className="flex min-h-6 w-fit items-center gap-1 rounded-s text-faint hover:text-text">
          {text.reader.fetched} {when(document.fetched)} <Icon name="down" className="size-3" />
        </summary>
        <div className="pt-2">
          <Facts>
            <Fact name={text.reader.fetched}>{exactTime(document.fetched)}</Fact>
            <Fact name={text.reader.seen}>{exactTime(document.last_synced)}</Fact>
            <Fact name={text.reader.run}>
              <Link
                to="/runs/$id"
                params={{ id: document.run_id }}
                className="text-accent underline underline-offset-2"
              >
                {document.run_id}
              </Link>
            </Fact>
            {facts.map(([name, value]) => (
              <Fact key={name} name={name.replaceAll("_", " ")}>
                {name === BUILT_FROM && Array.isArray(value) ? (
                  <Documents ids={value.map(String)} />
                ) : (
                  shown(value)
                )}
              </Fact>
            ))}
          </Facts>
        </div>
      </details>
    </div>
  );
}

/** Characters of a date with its time, and of most figures: cells with no more are kept whole. */
const SHORT = 18;

/** Readies the text after it has been drawn, and reads its outline from it. */
function useHeadings(body: React.RefObject<HTMLDivElement | null>, document: DocumentView): Heading[] {
  const [headings, setHeadings] = useState<Heading[]>([]);
  useLayoutEffect(() => {
    const root = body.current;
    if (!root) return;
    const all = [...root.querySelectorAll<HTMLElement>("h1, h2, h3")].map((element) => ({
      element,
      text: element.textContent?.trim() ?? "",
      level: Math.max(2, Number(element.tagName.slice(1))),
    }));
    const [first, ...rest] = all;
    const repeatsTitle = first?.element.tagName === "H1" && first.text === document.title.trim();
    if (first && repeatsTitle) first.element.hidden = true;
    setHeadings((repeatsTitle ? rest : all).filter((heading) => heading.text !== ""));
    for (const cell of root.querySelectorAll("td, th")) {
      cell.classList.toggle("short", (cell.textContent ?? "").length <= SHORT);
    }
    // What scrolls sideways must be reachable by keyboard.
    for (const wide of root.querySelectorAll<HTMLElement>("pre, table")) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
  }, [body, document]);
  return headings;
}

/** A link goes to its place in this document, to another collected document, or asks before it leaves. */
function useLinks(
  body: React.RefObject<HTMLDivElement | null>,
  from: DocumentView,
  open: (id: string) => void,
  leave: (link: OutsideLink) => void,
) {
  const latest = useRef({ from, open, leave });
  latest.current = { from, open, leave };
  const [onLink] = useState(() => async (href: string) => {
    const { from, open, leave } = latest.current;
    if (href.startsWith("#")) {
      const slug = decodeURIComponent(href.slice(1)).toLowerCase();
      const target = [...(body.current?.querySelectorAll("h1, h2, h3, h4, h5, h6") ?? [])].find(
        (heading) => heading.id === slug || slugOf(heading.textContent ?? "") === slug,
      );
      target?.scrollIntoView({ block: "start" });
      return;
    }
    if (!URL.canParse(href, from.url ?? undefined)) return;
    const address = new URL(href, from.url ?? undefined);
    // The engine lets no other kind through; nothing here would know what to do with one.
    if (address.protocol !== "https:" && address.protocol !== "http:") return;
    try {
      const found = await backend.findDocument(address.href);
      // The reader may have gone on in the meantime.
      if (body.current === null) return;
      if (found === null) leave({ document: from.id, href, address });
      else open(found);
    } catch (error) {
      notifyError(error);
    }
  });
  return onLink;
}

const slugOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, "")
    .trim()
    .replace(/\s+/g, "-");
