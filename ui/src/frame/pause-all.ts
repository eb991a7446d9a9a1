// Pausing everything, and going on: one switch for the whole program, kept over restarts.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useActions } from "../actions/registry";
import { backend } from "../backend";
import { useCommand } from "../data/hooks";
import { pausedQuery, runsQuery } from "../data/queries";
import { text } from "../text";
import { notifyError } from "./notices";

export function usePauseAll() {
  const client = useQueryClient();
  const paused = useQuery(pausedQuery).data ?? false;
  const { start, pending } = useCommand(async (pause: boolean) => {
    await backend.pauseAll(pause).catch(notifyError);
    await client.invalidateQueries({ queryKey: pausedQuery.queryKey });
    void client.invalidateQueries({ queryKey: runsQuery.queryKey });
    void client.invalidateQueries({ queryKey: ["run"] });
  });
  const toggle = useCallback(() => {
    if (!pending) start(!paused);
  }, [start, pending, paused]);
  useActions(
    useMemo(
      () => [
        {
          id: "pause-all",
          title: paused ? text.actions.resumeAll : text.actions.pauseAll,
          group: "window" as const,
          run: toggle,
        },
      ],
      [paused, toggle],
    ),
  );
  return { paused, toggle, pending };
}
