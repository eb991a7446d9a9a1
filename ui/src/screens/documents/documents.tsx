// Search and read: the box, what it finds, and the document beside it. Everything that selects is in
// the address, so that Back and a reload keep it.

import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { type Action, useActions } from "../../actions/registry";
import { asApiError } from "../../backend/backend";
import { useSettled } from "../../data/hooks";
import { documentsQuery } from "../../data/queries";
import { Button, IconButton, LinkButton } from "../../parts/button";
import { SearchInput } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { Page, PageTitle } from "../../parts/page";
import { Empty, Failed, InlineError, SkeletonRows } from "../../parts/states";
import { text } from "../../text";
import { FilterButton, Filters } from "./filters";
import { QueryHelp, QueryHelpButton } from "./query-help";
import { ReadingPane } from "./reading-pane";
import { Results, type ResultsHandle } from "./results";

export type DocumentsAt = {
  q?: string;
  tags?: string[];
  sources?: string[];
  run?: string;
  doc?: string;
  /** Go to the search box on arrival. */
  focus?: boolean;
};

export function Documents({ at }: { at: DocumentsAt }) {
  const navigate = useNavigate();
  const box = useRef<HTMLInputElement>(null);
  const results = useRef<ResultsHandle>(null);
  const go = (change: Partial<Record<keyof DocumentsAt, unknown>>, replace = true) =>
    void navigate({
      to: "/documents",
      search: { ...at, focus: undefined, ...change } as DocumentsAt,
      replace,
    });

  const { typed, setTyped } = useTyped(at.q ?? "", (q) => go({ q: q === "" ? undefined : q }));

  const filter = {
    query: at.q ?? "",
    tags: at.tags ?? [],
    source_types: at.sources ?? [],
    run: at.run ?? null,
  };
  const query = useInfiniteQuery({ ...documentsQuery(filter), placeholderData: (old) => old });
  const hits = query.data?.pages.flatMap((page) => page.hits) ?? [];
  const first = query.data?.pages[0];
  const narrowed =
    filter.query !== "" || filter.tags.length + filter.source_types.length > 0 || filter.run !== null;
  const refused = query.error !== null && asApiError(query.error).code === "invalid";

  // biome-ignore lint/correctness/useExhaustiveDependencies: on arrival only
  useEffect(() => {
    if (!at.focus) return;
    box.current?.focus();
    box.current?.select();
    go({ focus: undefined });
  }, [at.focus]);

  useActions(
    useMemo(
      (): Action[] => [
        {
          id: "next",
          title: text.actions.nextResult,
          group: "here",
          keys: "j",
          keyOnly: true,
          run: () => results.current?.move(1),
        },
        {
          id: "previous",
          title: text.actions.previousResult,
          group: "here",
          keys: "k",
          keyOnly: true,
          run: () => results.current?.move(-1),
        },
      ],
      [],
    ),
  );
  const clear = () => {
    setTyped("");
    go({ q: undefined, tags: undefined, sources: undefined, run: undefined });
    box.current?.focus();
  };
  const onBoxKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") results.current?.move(1);
    else if (event.key === "Escape" && typed !== "") setTyped("");
    else return;
    event.preventDefault();
  };

  const nothingYet = first?.total === 0 && !narrowed && !query.isPlaceholderData;
  return (
    <Page
      title={text.documents.title}
      heading={
        <>
          <PageTitle>{text.documents.title}</PageTitle>
          <search className="flex min-w-0 flex-1 items-center gap-1.5">
            <div className="relative max-w-[34rem] min-w-24 flex-1">
              <SearchInput
                ref={box}
                label={text.documents.search}
                placeholder={text.documents.placeholder}
                value={typed}
                onChange={(event) => setTyped(event.target.value)}
                onKeyDown={onBoxKey}
                aria-invalid={refused || undefined}
                className="[&>input]:pr-8"
              />
              {typed !== "" && (
                <IconButton
                  label={text.documents.clear}
                  onClick={() => {
                    setTyped("");
                    box.current?.focus();
                  }}
                  className="absolute! top-0.5 right-0.5 size-6!"
                >
                  <Icon name="close" className="size-3.5" />
                </IconButton>
              )}
            </div>
            <QueryHelpButton onPick={setTyped} />
            <FilterButton facets={first?.facets} at={at} onChange={go} />
          </search>
        </>
      }
    >
      {nothingYet ? (
        <div className="min-h-0 flex-1 overflow-y-auto">
          <Empty icon="documents" title={text.documents.none} about={text.documents.noneAbout}>
            <LinkButton to="/" look="primary">
              {text.documents.first}
            </LinkButton>
          </Empty>
        </div>
      ) : (
        <div className="flex min-h-0 flex-1">
          <section
            aria-label={text.documents.list}
            className={`flex w-96 shrink-0 flex-col border-r border-line @max-[64rem]/main:w-72 @max-[40rem]/main:w-full @max-[40rem]/main:border-r-0 ${at.doc ? "@max-[40rem]/main:hidden" : ""}`}
          >
            <Filters at={at} onChange={go} />
            {query.isPending ? (
              <SkeletonRows rows={7} className="h-20" />
            ) : query.error ? (
              refused ? (
                <div className="grid gap-1.5 p-4">
                  <p className="font-semibold">{text.documents.queryError}</p>
                  <InlineError error={asApiError(query.error)} />
                </div>
              ) : (
                <Failed error={query.error} retry={() => void query.refetch()} />
              )
            ) : hits.length === 0 ? (
              <Empty icon="search" title={text.documents.noMatch} about={text.documents.noMatchAbout}>
                <Button onClick={clear}>{text.documents.clearAll}</Button>
              </Empty>
            ) : (
              <Results
                ref={results}
                hits={hits}
                total={first?.total ?? 0}
                ranked={filter.query !== ""}
                shown={at.doc ?? null}
                readAt={query.dataUpdatedAt}
                onOpen={(doc) => go({ doc }, at.doc !== undefined)}
                onRefresh={() => void query.refetch()}
                onEnd={() => query.hasNextPage && !query.isFetchingNextPage && void query.fetchNextPage()}
              />
            )}
          </section>
          {at.doc ? (
            <ReadingPane
              key={at.doc}
              id={at.doc}
              onBack={() => {
                go({ doc: undefined });
                results.current?.move(0);
              }}
              onOpen={(doc) => go({ doc }, false)}
              onTag={(tag) => go({ tags: [...new Set([...(at.tags ?? []), tag])] })}
            />
          ) : (
            <div className="grid min-w-0 flex-1 place-items-center overflow-y-auto p-6 @max-[40rem]/main:hidden">
              <div className="grid gap-5">
                <div className="text-center">
                  <p className="text-strong font-semibold">{text.documents.pick}</p>
                  <p className="mt-0.5 text-muted">{text.documents.pickAbout}</p>
                </div>
                <QueryHelp onPick={setTyped} />
              </div>
            </div>
          )}
        </div>
      )}
    </Page>
  );
}

/** What stands in the box, and the address following it a moment later. */
function useTyped(q: string, commit: (q: string) => void) {
  const [typed, setTyped] = useState(q);
  const settled = useSettled(typed, 150);
  const sent = useRef(q);
  // The address changed by other means: Back, a filter, the palette.
  if (q !== sent.current) {
    sent.current = q;
    if (typed.trim() !== q) setTyped(q);
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when typing has paused
  useEffect(() => {
    const next = settled.trim();
    if (next === sent.current || settled !== typed) return;
    sent.current = next;
    commit(next);
  }, [settled]);
  return { typed, setTyped };
}
