// The command palette: a combobox over the actions of now, the jobs, the last runs, and search.

import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { useDefinitions, useRuns } from "../data/hooks";
import { when } from "../format";
import { Dialog } from "../parts/dialog";
import { Icon } from "../parts/icon";
import { StatusShape, shownStatus } from "../parts/status";
import { Subject } from "../screens/runs/run-line";
import { text } from "../text";
import { Keys } from "./keys-sheet";
import { type Group, useAllActions } from "./registry";

type Entry = {
  id: string;
  title: string;
  /** More about it, drawn after the title and searched too. */
  about?: React.ReactNode;
  words?: string;
  group: Group | "search";
  keys?: string | undefined;
  aside?: React.ReactNode;
  run: () => void;
};

const ORDER: Entry["group"][] = ["here", "go", "run", "recent", "window", "search"];

export function Palette({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={text.palette.title}
      hideTitle
      closeLabel={text.keys.close}
      className="w-[36rem]"
    >
      <Commands onClose={onClose} />
    </Dialog>
  );
}

function Commands({ onClose }: { onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const entries = useEntries(query);
  const active = entries[Math.min(at, entries.length - 1)];

  // biome-ignore lint/correctness/useExhaustiveDependencies: follows the active entry
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [active?.id]);

  const choose = (entry: Entry) => {
    onClose();
    entry.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = entries.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: at >= last ? 0 : at + 1,
      ArrowUp: at <= 0 ? last : at - 1,
      PageDown: Math.min(last, at + 8),
      PageUp: Math.max(0, at - 8),
    };
    const move = moves[event.key];
    if (move !== undefined) setAt(Math.max(0, move));
    else if (event.key === "Enter" && active) choose(active);
    else return;
    event.preventDefault();
  };

  return (
    <>
      <div className="flex h-11 shrink-0 items-center gap-2.5 border-b border-line px-3.5">
        <Icon name="command" className="size-4 text-faint" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={active && `${id}-${active.id}`}
          aria-label={text.palette.title}
          placeholder={text.palette.placeholder}
          spellCheck={false}
          autoComplete="off"
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
          className="min-w-0 flex-1 bg-transparent text-strong outline-none"
        />
        <kbd>Esc</kbd>
      </div>
      <div
        ref={list}
        id={`${id}-list`}
        role="listbox"
        aria-label={text.palette.title}
        className="min-h-0 flex-1 overflow-y-auto p-1.5"
      >
        {entries.length === 0 && <p className="px-3 py-6 text-center text-muted">{text.palette.none}</p>}
        {ORDER.map((group) => {
          const members = entries.filter((entry) => entry.group === group);
          if (members.length === 0) return null;
          return (
            // biome-ignore lint/a11y/useSemanticElements: a group of options, not of fields
            <div key={group} role="group" aria-label={text.palette.groups[group]}>
              <div aria-hidden="true" className="px-2 pt-2 pb-1 text-label text-faint">
                {text.palette.groups[group]}
              </div>
              {members.map((entry) => (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the combobox's
                // biome-ignore lint/a11y/useFocusableInteractive: focus stays in the combobox
                <div
                  key={entry.id}
                  id={`${id}-${entry.id}`}
                  role="option"
                  aria-selected={entry === active}
                  onMouseMove={() => entry !== active && setAt(entries.indexOf(entry))}
                  onClick={() => choose(entry)}
                  className="flex h-8 items-center gap-2.5 rounded-m px-2 aria-selected:bg-bg2"
                >
                  <span className="flex min-w-0 flex-1 items-baseline gap-2">
                    <span className="min-w-0 truncate">{entry.title}</span> {entry.about}
                  </span>
                  {entry.aside}
                  {entry.keys && <Keys keys={entry.keys} />}
                </div>
              ))}
            </div>
          );
        })}
      </div>
      <div role="status" className="sr-only">
        {text.palette.results(entries.length)}
      </div>
    </>
  );
}

/** What matches, in the order in which it is drawn. */
function useEntries(query: string): Entry[] {
  const navigate = useNavigate();
  const actions = useAllActions().filter((action) => !action.keyOnly);
  const definitions = useDefinitions().data ?? [];
  const { runs } = useRuns();

  const all: Entry[] = [
    ...actions,
    ...definitions
      .filter((definition) => definition.errors === 0)
      .map((definition) => ({
        id: `run-${definition.id}`,
        title: text.jobs.runNamed(definition.name),
        group: "run" as const,
        run: () => void navigate({ to: "/jobs/$id", params: { id: definition.id }, search: { run: true } }),
      })),
    ...runs.slice(0, 5).map((run) => ({
      id: `recent-${run.id}`,
      title: run.name,
      about: <Subject run={run} />,
      words: run.subject,
      group: "recent" as const,
      aside: (
        <span className="num flex items-center gap-2 text-label text-faint">
          {when(run.started)} <StatusShape status={shownStatus(run)} />
        </span>
      ),
      run: () => void navigate({ to: "/runs/$id", params: { id: run.id } }),
    })),
  ];
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = all.filter((entry) =>
    words.every((word) => `${entry.title} ${entry.words ?? ""}`.toLowerCase().includes(word)),
  );
  if (query.trim() !== "") {
    matching.push({
      id: "search-documents",
      title: text.palette.searchFor(query.trim()),
      group: "search",
      run: () => void navigate({ to: "/documents", search: { q: query.trim() } }),
    });
  }
  return ORDER.flatMap((group) => matching.filter((entry) => entry.group === group));
}
