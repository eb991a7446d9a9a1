// What the screens share: runs, definitions, commands with their failure, and the time.

import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { asApiError } from "../backend/backend";
import type { ApiError, DefinitionSummary, InputKind, RunSummary } from "../backend/types";
import { definitionsQuery, runsQuery, schedulesQuery } from "./queries";

export function useRuns() {
  const query = useInfiniteQuery(runsQuery);
  return { ...query, runs: query.data?.pages.flat() ?? [] };
}

export function useLiveRuns(): RunSummary[] {
  return useRuns().runs.filter((run) => run.status === "running");
}

export function useSchedules() {
  return useQuery(schedulesQuery);
}

/** The shipped definition whose one required value is a folder, or an address. */
export function findStarter(definitions: DefinitionSummary[], kind: InputKind) {
  for (const definition of definitions) {
    if (definition.origin !== "shipped" || definition.errors > 0) continue;
    const required = definition.inputs.filter((input) => input.required);
    const [input] = required;
    if (required.length === 1 && input?.kind === kind) return { definition, input };
  }
  return null;
}

export function useDefinitions() {
  return useQuery(definitionsQuery);
}

/** An action of the program, with its failure as an `ApiError`. */
export function useCommand<In, Out>(
  command: (input: In) => Promise<Out>,
  done?: (output: Out) => void,
  failed?: (error: ApiError) => void,
) {
  const mutation = useMutation({
    mutationFn: command,
    onSuccess: (output: Out) => done?.(output),
    onError: (thrown: unknown) => failed?.(asApiError(thrown)),
  });
  return {
    start: mutation.mutate,
    pending: mutation.isPending,
    done: mutation.isSuccess,
    error: mutation.error === null ? null : asApiError(mutation.error),
    reset: mutation.reset,
  };
}

/** The time, each second, while `live`. The only timer of the window. */
export function useNow(live: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!live) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [live]);
  return now;
}

/** `value`, once it has been the same for `ms`. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
