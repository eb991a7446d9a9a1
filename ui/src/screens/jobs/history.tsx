// The texts that a definition has had: what changed between any two, and putting one back.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { backend } from "../../backend";
import type { DefinitionSummary, DefinitionVersion } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { historyQuery, versionsDiffQuery } from "../../data/queries";
import { readDefinitions } from "../../data/sync";
import { bytes, exactTime, when } from "../../format";
import { Button, linkClass } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Select } from "../../parts/field";
import { Card } from "../../parts/page";
import { Empty, Failed, SkeletonRows } from "../../parts/states";
import { DiffCounts, TextDiffView } from "../../parts/text-diff";
import { text } from "../../text";

export function History({ definition }: { definition: DefinitionSummary }) {
  const { data, error, isPending, refetch } = useQuery(historyQuery(definition.id));
  if (isPending) return <SkeletonRows rows={3} />;
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (data.length === 0) {
    return <Empty icon="again" title={text.history.none} about={text.history.noneAbout} />;
  }
  return <Versions key={definition.id} definition={definition} versions={data} />;
}

type Props = { definition: DefinitionSummary; versions: DefinitionVersion[] };

function Versions({ definition, versions }: Props): ReactNode {
  const [newest, before] = versions;
  // The newest text is mostly the present one: what led to it tells more.
  const [chosen, setFrom] = useState<number | null>(null);
  const [to, setTo] = useState<number | null>(null);
  const from =
    chosen ?? (newest?.hash === definition.hash ? before : newest)?.version ?? newest?.version ?? 1;
  const client = useQueryClient();
  const [restoring, setRestoring] = useState<number | null>(null);
  const restore = useCommand(
    (version: number) => backend.restoreVersion(definition.id, version),
    () => {
      readDefinitions(client);
      setRestoring(null);
    },
  );
  const names = versions.map(({ version, at }): [string, string] => [
    String(version),
    `${text.history.version(version)}, ${when(at)}`,
  ]);
  return (
    <div className="grid gap-3">
      <Card>
        <ol aria-label={text.history.label}>
          {versions.map((version) => (
            <li
              key={version.version}
              className="flex min-h-10 items-center gap-x-2 border-b border-line px-3 py-1 last:border-0"
            >
              <span className="num w-20 shrink-0 font-medium" title={bytes(version.bytes)}>
                {text.history.version(version.version)}
              </span>
              <span className="min-w-0 flex-1 text-meta text-muted">
                <time dateTime={version.at} title={exactTime(version.at)} className="num">
                  {when(version.at)}
                </time>
                {" · "}
                {text.history.why[version.why]}
                {version.run_id !== null && (
                  <>
                    {" · "}
                    <Link
                      to="/runs/$id"
                      params={{ id: version.run_id }}
                      search={{ tab: "definition" }}
                      className={linkClass}
                    >
                      {text.history.run(version.run_id)}
                    </Link>
                  </>
                )}
              </span>
              {version.hash !== definition.hash && (
                <>
                  <Button
                    look="ghost"
                    aria-label={text.history.compare(version.version)}
                    onClick={() => {
                      setFrom(version.version);
                      setTo(null);
                    }}
                  >
                    {text.history.compareShort}
                  </Button>
                  {definition.origin === "user" && (
                    <Button
                      aria-label={text.history.restore(version.version)}
                      onClick={() => {
                        restore.reset();
                        setRestoring(version.version);
                      }}
                    >
                      {text.history.restoreShort}
                    </Button>
                  )}
                </>
              )}
            </li>
          ))}
        </ol>
      </Card>
      <div className="grid grid-cols-[max-content_minmax(0,13rem)_max-content_minmax(0,13rem)] items-center gap-2 text-meta text-muted @max-[40rem]/main:grid-cols-[max-content_minmax(0,1fr)]">
        <span aria-hidden="true">{text.history.from}</span>
        <Select
          label={text.history.from}
          value={String(from)}
          options={names}
          onChange={(next) => setFrom(Number(next))}
        />
        <span aria-hidden="true">{text.history.to}</span>
        <Select
          label={text.history.to}
          value={to === null ? "" : String(to)}
          options={[["", text.history.now], ...names]}
          onChange={(next) => setTo(next === "" ? null : Number(next))}
        />
      </div>
      <Difference id={definition.id} from={from} to={to} />
      <Confirm
        open={restoring !== null}
        onClose={() => setRestoring(null)}
        title={text.history.restoreTitle(restoring ?? 0)}
        submit={text.history.restoreSubmit}
        onSubmit={() => restoring !== null && restore.start(restoring)}
        busy={restore.pending}
        error={restore.error}
      >
        <p>{text.history.restoreAbout}</p>
      </Confirm>
    </div>
  );
}

function Difference({ id, from, to }: { id: string; from: number; to: number | null }) {
  const { data, error, isPending, refetch } = useQuery(versionsDiffQuery(id, from, to));
  if (isPending) return <SkeletonRows rows={6} />;
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  return (
    <div className="grid gap-1.5">
      <DiffCounts diff={data} />
      <Card className="grid">
        <TextDiffView diff={data} />
      </Card>
    </div>
  );
}
