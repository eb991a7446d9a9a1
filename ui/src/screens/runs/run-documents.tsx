import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { DocumentHit, RunSummary } from "../../backend/types";
import { useSettled } from "../../data/hooks";
import { documentsQuery } from "../../data/queries";
import { Button, LinkButton } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { Empty, Failed, SkeletonRows } from "../../parts/states";
import { text } from "../../text";

/** The documents that this run wrote, newest first. */
export function RunDocuments({ run }: { run: RunSummary }) {
  const query = useInfiniteQuery(documentsQuery({ query: "", tags: [], source_types: [], run: run.id }));
  const written = run.documents.created + run.documents.updated;
  const total = query.data?.pages[0]?.total ?? 0;
  // While the run writes, the list stays as it was read, and says how much has come since.
  const newer = useSettled(run.status === "running" ? Math.max(0, written - total) : 0, 150);
  if (query.isPending) return <SkeletonRows rows={10} className="h-9" />;
  if (query.error) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const hits = query.data.pages.flatMap((page) => page.hits);
  if (hits.length === 0) {
    return (
      <Empty
        icon="documents"
        title={run.documents.unchanged > 0 ? text.runDocuments.unchanged : text.runDocuments.none}
        about={
          run.documents.unchanged > 0
            ? text.runDocuments.unchangedAbout(run.documents.unchanged)
            : text.runDocuments.noneAbout
        }
      >
        {run.documents.unchanged > 0 && <LinkButton to="/documents">{text.runDocuments.all}</LinkButton>}
      </Empty>
    );
  }
  return (
    <>
      <div className="flex min-h-10 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-4 py-1.5 text-meta text-muted">
        <span className="num flex-1">
          {text.documentsCount(total)}
          {run.documents.unchanged > 0 && ` · ${text.runDocuments.unchangedAbout(run.documents.unchanged)}`}
        </span>
        {newer > 0 && <Button onClick={() => void query.refetch()}>{text.documents.newer(newer)}</Button>}
        <LinkButton to="/documents" search={{ run: run.id }}>
          <Icon name="search" className="size-3.5" />
          {text.runDocuments.search}
        </LinkButton>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto">
        <ul>
          {hits.map((hit) => (
            <Row key={hit.id} hit={hit} run={run.id} />
          ))}
        </ul>
        {query.hasNextPage && (
          <div className="p-3 text-center">
            <Button onClick={() => void query.fetchNextPage()} busy={query.isFetchingNextPage}>
              {text.documents.more}
            </Button>
          </div>
        )}
      </div>
    </>
  );
}

function Row({ hit, run }: { hit: DocumentHit; run: string }) {
  return (
    <li className="border-b border-line">
      <Link
        to="/documents"
        search={{ run, doc: hit.id }}
        className="flex h-9 items-center gap-2.5 px-4 outline-offset-[-2px] transition-colors duration-75 hover:bg-bg0"
      >
        <Icon name={hit.source_type === "web" ? "site" : "documents"} className="size-3.5 text-faint" />
        <span className="max-w-[50%] shrink-0 truncate font-medium">{hit.title}</span>
        <span className="min-w-0 flex-1 truncate text-right text-meta text-faint">{hit.source_id}</span>
      </Link>
    </li>
  );
}
