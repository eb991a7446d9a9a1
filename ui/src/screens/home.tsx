// The first screen: what Quaero is, the two first things to do with it, and what was done last.

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useMemo, useRef, useState } from "react";
import { useActions } from "../actions/registry";
import { backend } from "../backend";
import type { DefinitionSummary, InputField } from "../backend/types";
import { findStarter, useCommand, useDefinitions, useRuns, useSchedules } from "../data/hooks";
import { infoQuery } from "../data/queries";
import { exactTime, whenNext } from "../format";
import { Button, LinkButton } from "../parts/button";
import { Field, Input, SearchInput } from "../parts/field";
import { Icon, type IconName } from "../parts/icon";
import { Card, useTitle } from "../parts/page";
import { Failed, isNotSetUp, SkeletonRows } from "../parts/states";
import { text } from "../text";
import { RunLine } from "./runs/run-line";

export function Home() {
  useTitle(text.nav.home);
  const { runs, isPending, error, refetch } = useRuns();
  const collected = (useQuery(infoQuery).data?.documents ?? 0) > 0;
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto grid w-full max-w-[51.5rem] grid-cols-[minmax(0,1fr)] gap-7 px-7 @max-[30rem]/main:px-4 py-[clamp(1.75rem,6vh,3.5rem)]">
        <div>
          <h1 className="text-hero font-semibold tracking-[-0.01em]">{text.home.title}</h1>
          <p className="mt-1.5 max-w-[62ch] text-read text-muted">{text.home.intro}</p>
        </div>
        {collected && <QuickSearch />}
        <Starters />
        {error ? (
          <Failed error={error} retry={() => void refetch()} />
        ) : (
          (isPending || runs.length > 0) && (
            <section>
              <div className="mb-1.5 flex items-center">
                <h2 className="flex-1 text-ui font-semibold">{text.home.recent}</h2>
                {runs.length > 6 && (
                  <LinkButton to="/runs" look="ghost" className="-my-1 -mr-2">
                    {text.home.all}
                  </LinkButton>
                )}
              </div>
              <Card>
                {isPending ? (
                  <SkeletonRows rows={3} className="h-9" />
                ) : (
                  <ul>
                    {runs.slice(0, 6).map((run) => (
                      <RunLine key={run.id} run={run} />
                    ))}
                  </ul>
                )}
              </Card>
            </section>
          )
        )}
        <Upcoming />
      </div>
    </div>
  );
}

/** The next run of each schedule, soonest first. */
function Upcoming() {
  const schedules = (useSchedules().data ?? [])
    .flatMap((schedule) => (schedule.next[0] ? [{ schedule, next: schedule.next[0] }] : []))
    .sort((a, b) => Date.parse(a.next) - Date.parse(b.next));
  if (schedules.length === 0) return null;
  return (
    <section>
      <h2 className="mb-1.5 text-ui font-semibold">{text.home.upcoming}</h2>
      <Card>
        <ul>
          {schedules.map(({ schedule, next }) => (
            <li key={schedule.definition_id} className="border-b border-line last:border-0">
              <Link
                to="/jobs/$id"
                params={{ id: schedule.definition_id }}
                className="flex h-9 items-center gap-2.5 px-3 outline-offset-[-2px] transition-colors duration-75 hover:bg-bg0"
              >
                <Icon name="schedule" className="size-4 text-faint" />
                <span className="min-w-0 shrink-0 truncate font-medium @max-[38rem]/main:shrink">
                  {schedule.name}
                </span>
                <span className="min-w-0 flex-1 truncate text-meta text-muted">{schedule.description}</span>
                {schedule.note !== "" && (
                  <span title={schedule.note} className="inline-flex text-warn">
                    <Icon name="warn" className="size-3.5" />
                    <span className="sr-only">{schedule.note}</span>
                  </span>
                )}
                <time dateTime={next} title={exactTime(next)} className="num shrink-0 text-meta text-faint">
                  {whenNext(next)}
                </time>
              </Link>
            </li>
          ))}
        </ul>
      </Card>
    </section>
  );
}

function QuickSearch() {
  const navigate = useNavigate();
  const [query, setQuery] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void navigate({ to: "/documents", search: { q: query.trim() } });
  };
  return (
    <search>
      <form onSubmit={submit} className="flex gap-2">
        <SearchInput
          label={text.home.quick}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          className="flex-1"
        />
        <Button type="submit">{text.home.quickSubmit}</Button>
      </form>
    </search>
  );
}

function Starters() {
  const { data, error, isPending, refetch } = useDefinitions();
  const folder = data && findStarter(data, "folder");
  const site = data && findStarter(data, "url");
  const folderInput = useRef<HTMLInputElement>(null);
  const siteInput = useRef<HTMLInputElement>(null);
  useActions(
    useMemo(
      () => [
        {
          id: "folder",
          title: text.actions.folder,
          group: "here" as const,
          run: () => folderInput.current?.focus(),
        },
        {
          id: "site",
          title: text.actions.site,
          group: "here" as const,
          run: () => siteInput.current?.focus(),
        },
      ],
      [],
    ),
  );
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!isPending && !folder && !site) return <p className="text-muted">{text.home.noStarters}</p>;
  return (
    <div className="grid grid-cols-[repeat(2,minmax(0,1fr))] gap-3 @max-[38rem]/main:grid-cols-[minmax(0,1fr)]">
      {(isPending || folder) && (
        <Starter
          icon="folder"
          words={text.home.folder}
          starter={folder ?? null}
          inputRef={folderInput}
          check={(value) => (value === "" ? text.home.folder.empty : null)}
          primary
          choose
        />
      )}
      {(isPending || site) && (
        <Starter
          icon="site"
          words={text.home.site}
          starter={site ?? null}
          inputRef={siteInput}
          check={checkAddress}
          complete={(value) => (/^[\w-]+(\.[\w-]+)+(:\d+)?(\/|$)/.test(value) ? `https://${value}` : value)}
        />
      )}
    </div>
  );
}

function checkAddress(value: string): string | null {
  if (value === "") return text.home.site.empty;
  const address = URL.canParse(value) ? new URL(value) : null;
  return address && /^https?:$/.test(address.protocol) && address.hostname !== "" ? null : text.home.site.bad;
}

type StarterProps = {
  icon: IconName;
  words: {
    title: string;
    about: string;
    label: string;
    placeholder: string;
    submit: string;
    choose?: string;
  };
  /** `null` while the definitions are read. */
  starter: { definition: DefinitionSummary; input: InputField } | null;
  inputRef: React.RefObject<HTMLInputElement | null>;
  check: (value: string) => string | null;
  /** Adds what one may leave out, such as `https://`. */
  complete?: (value: string) => string;
  primary?: boolean;
  choose?: boolean;
};

function Starter({
  icon,
  words,
  starter,
  inputRef,
  check,
  complete = (value) => value,
  primary,
  choose,
}: StarterProps) {
  const navigate = useNavigate();
  const [value, setValue] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  /** The same until the run has begun, so that pressing twice starts one. */
  const request = useRef(crypto.randomUUID());
  const start = useCommand(backend.runDefinition.bind(backend), (id) => {
    request.current = crypto.randomUUID();
    void navigate({ to: "/runs/$id", params: { id } });
  });
  const choosing = useCommand(backend.chooseFolder.bind(backend), (path: string | null) => {
    if (path !== null) change(path);
    inputRef.current?.focus();
  });

  const change = (next: string) => {
    setValue(next);
    setProblem(null);
    start.reset();
    request.current = crypto.randomUUID();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!starter) return;
    const completed = complete(value.trim());
    const wrong = check(completed);
    setProblem(wrong);
    if (wrong) {
      inputRef.current?.focus();
      return;
    }
    setValue(completed);
    start.start({
      request_id: request.current,
      definition_id: starter.definition.id,
      set: [[starter.input.key, completed]],
      anyway: isNotSetUp(start.error),
    });
  };
  const refused = start.error ?? choosing.error;
  return (
    <form
      noValidate
      onSubmit={submit}
      className={`flex flex-col gap-2 rounded-l border p-4 ${
        primary
          ? "border-[color-mix(in_oklch,var(--accent)_45%,transparent)] bg-[color-mix(in_oklch,var(--accent)_5%,var(--bg1))]"
          : "border-line bg-bg1"
      }`}
    >
      <span className={primary ? "text-accent" : "text-muted"}>
        <Icon name={icon} />
      </span>
      <h2 className="text-ui font-semibold">{words.title}</h2>
      <p className="mb-1 flex-1 text-muted">{words.about}</p>
      <Field
        label={words.label}
        error={problem ?? (refused ? [refused.message, refused.hint].filter(Boolean).join(" ") : null)}
      >
        {(wiring) => (
          <Row>
            <Input
              {...wiring}
              ref={inputRef}
              value={value}
              placeholder={words.placeholder}
              inputMode={choose ? "text" : "url"}
              onChange={(event) => change(event.target.value)}
            />
            {choose && (
              <Button onClick={() => choosing.start(undefined)} busy={choosing.pending}>
                {words.choose}
              </Button>
            )}
          </Row>
        )}
      </Field>
      <div className="mt-1 flex gap-2">
        <Button type="submit" look={primary ? "primary" : "plain"} busy={start.pending}>
          {isNotSetUp(start.error) ? text.jobs.anyway : words.submit}
        </Button>
        {isNotSetUp(start.error) && <LinkButton to="/settings">{text.actions.settings}</LinkButton>}
      </div>
    </form>
  );
}

function Row({ children }: { children: ReactNode }) {
  return <div className="flex gap-2">{children}</div>;
}
