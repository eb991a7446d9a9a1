// The definition of a run as it was, its values, and what differs from that of another run.

import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { RunView } from "../../backend/types";
import { useRuns } from "../../data/hooks";
import { runsDiffQuery } from "../../data/queries";
import { when } from "../../format";
import { Button } from "../../parts/button";
import { Select } from "../../parts/field";
import { Card, Fact, Facts } from "../../parts/page";
import { SourceText } from "../../parts/source-text";
import { Failed, SkeletonRows } from "../../parts/states";
import { DiffCounts, TextDiffView } from "../../parts/text-diff";
import { text } from "../../text";

type Props = {
  run: RunView;
  /** The run whose definition this one is compared with. */
  other: string | null;
  onOther: (run: string | null) => void;
};

export function AsRun({ run, other, onOther }: Props) {
  const { id, definition_id, rerun_of } = run.summary;
  const others = useRuns().runs.filter((one) => one.definition_id === definition_id && one.id !== id);
  const options: [string, string][] = [
    ["", text.run.compareNothing],
    ...others.map((one): [string, string] => [one.id, text.run.compareRun(one.id, when(one.started))]),
  ];
  // A run that is not among those loaded can still be the one that this one repeats.
  for (const wanted of [rerun_of, other]) {
    if (wanted !== null && !options.some(([known]) => known === wanted))
      options.push([wanted, text.run.runLink(wanted)]);
  }
  return (
    <div className="min-h-0 flex-1 overflow-y-auto p-4">
      <div className="mx-auto grid max-w-[56rem] gap-4">
        {run.variables.length > 0 && (
          <section>
            <h2 className="mb-2 text-ui font-semibold">{text.run.values}</h2>
            <Facts>
              {run.variables.map(([key, value]) => (
                <Fact key={key} name={key} mono>
                  {value}
                </Fact>
              ))}
            </Facts>
          </section>
        )}
        <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
          <p className="flex-1 basis-64 text-muted">
            {other === null ? text.run.definitionAsRun : text.run.compared(other)}
          </p>
          {rerun_of !== null && other !== rerun_of && (
            <Button look="ghost" onClick={() => onOther(rerun_of)}>
              {text.run.whatChanged}
            </Button>
          )}
          {options.length > 1 && (
            <div className="flex items-center gap-2 text-meta text-muted">
              <span aria-hidden="true">{text.run.compareWith}</span>
              <Select
                label={text.run.compareWith}
                value={other ?? ""}
                options={options}
                onChange={(next) => onOther(next === "" ? null : next)}
                className="w-56"
              />
            </div>
          )}
        </div>
        {other === null ? (
          <div className="grid overflow-hidden rounded-l border border-line">
            <SourceText source={run.definition_text} label={text.run.tabs.definition} />
          </div>
        ) : (
          <RunsDiff from={other} to={id} />
        )}
      </div>
    </div>
  );
}

function RunsDiff({ from, to }: { from: string; to: string }): ReactNode {
  const { data, error, isPending, refetch } = useQuery(runsDiffQuery(from, to));
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
