// The bar on the left: the places of the window, and the runs of now.

import { useQuery } from "@tanstack/react-query";
import { Link, type LinkProps } from "@tanstack/react-router";
import type { RunSummary } from "../backend/types";
import { useDefinitions, useRuns } from "../data/hooks";
import { infoQuery } from "../data/queries";
import { number, percent, when } from "../format";
import { Button } from "../parts/button";
import { Icon, type IconName } from "../parts/icon";
import { doneTasks } from "../parts/progress";
import { isOpen, StatusShape, shownStatus } from "../parts/status";
import { text } from "../text";
import { usePauseAll } from "./pause-all";

const item =
  "relative flex h-7.5 w-full items-center gap-2.5 rounded-m px-2 text-muted transition-colors duration-75 hover:bg-bg2 hover:text-text aria-[current=page]:bg-bg2 aria-[current=page]:font-medium aria-[current=page]:text-text @max-[50rem]/app:justify-center @max-[50rem]/app:px-0";

/** In a narrow window only the icons are drawn; the names stay for those who listen. */
const wide = "@max-[50rem]/app:sr-only";

/** Tells the pointer the name of what is only an icon in a narrow window. */
function Hint({ name }: { name: string }) {
  return <span aria-hidden="true" title={name} className="absolute inset-0 hidden @max-[50rem]/app:block" />;
}

export function Sidebar({ onPalette }: { onPalette: () => void }) {
  const definitions = useDefinitions().data;
  const info = useQuery(infoQuery).data;
  const { runs } = useRuns();
  const live = runs.filter((run) => run.status === "running");
  const open = runs.filter(isOpen);
  return (
    <nav
      aria-label={text.navLabel}
      className="flex w-50 shrink-0 flex-col overflow-y-auto border-r border-line bg-bg0 px-2 py-2.5 @max-[50rem]/app:w-13"
    >
      <div className="flex items-center gap-2 px-2 pt-1 pb-3.5 text-strong font-semibold @max-[50rem]/app:justify-center @max-[50rem]/app:px-0">
        <Mark />
        <span className={wide}>{text.app}</span>
      </div>
      <ul className="grid gap-px">
        <Place to="/" icon="home" name={text.nav.home} />
        <Place
          to="/jobs"
          icon="jobs"
          name={text.nav.jobs}
          badge={definitions && number(definitions.length)}
        />
        <Place
          to="/runs"
          icon="runs"
          name={text.nav.runs}
          badge={live.length > 0 && text.liveBadge(live.length)}
        />
        <Place
          to="/documents"
          icon="documents"
          name={text.nav.documents}
          badge={info && info.documents > 0 && number(info.documents)}
        />
      </ul>
      <button type="button" onClick={onPalette} className={`${item} mt-2.5`}>
        <Hint name={text.nav.search} />
        <Icon name="search" />
        <span className={wide}>{text.nav.search}</span>
        <kbd className="ml-auto @max-[50rem]/app:hidden">Ctrl K</kbd>
      </button>
      <div className="mt-auto grid grid-cols-[minmax(0,1fr)] gap-px border-t border-line pt-2">
        <PauseAll />
        <RunsNow live={open} last={runs[0]} />
        <ul>
          <Place to="/settings" icon="settings" name={text.nav.settings} />
        </ul>
      </div>
    </nav>
  );
}

function Place({
  to,
  icon,
  name,
  badge,
}: {
  to: LinkProps["to"];
  icon: IconName;
  name: string;
  badge?: string | false | undefined;
}) {
  return (
    <li>
      <Link to={to} activeOptions={{ exact: to === "/", includeSearch: false }} className={item}>
        <Hint name={name} />
        <Icon name={icon} />
        <span className={wide}>{name}</span>
        {badge && (
          <span
            aria-hidden="true"
            className="num ml-auto text-label font-normal text-faint @max-[50rem]/app:hidden"
          >
            {badge}
          </span>
        )}
      </Link>
    </li>
  );
}

/** Stops everything from starting anything new, and lets it go on. It is loud only while it is on. */
function PauseAll() {
  const { paused, toggle, pending } = usePauseAll();
  if (!paused) {
    return (
      <button
        type="button"
        onClick={toggle}
        aria-disabled={pending || undefined}
        className={`${item} text-label`}
      >
        <Hint name={text.pauseAll.pause} />
        <Icon name="pause" />
        <span className={wide}>{text.pauseAll.pause}</span>
      </button>
    );
  }
  return (
    <div className="tinted mb-1 grid gap-1.5 rounded-m border p-2 text-warn @max-[50rem]/app:border-0 @max-[50rem]/app:bg-transparent @max-[50rem]/app:p-0">
      <p role="status" className={`flex items-center gap-2 text-meta font-medium text-text ${wide}`}>
        <Icon name="pause" className="size-4 text-warn" />
        {text.pauseAll.paused}
      </p>
      <Button
        look="primary"
        onClick={toggle}
        busy={pending}
        title={`${text.pauseAll.paused}. ${text.pauseAll.about}`}
        className="@max-[50rem]/app:px-0"
      >
        <Icon name="runs" className="size-3.5" />
        <span className={wide}>{text.pauseAll.resume}</span>
      </Button>
    </div>
  );
}

/** The runs under way, or else the last one. */
function RunsNow({ live, last }: { live: RunSummary[]; last: RunSummary | undefined }) {
  const line =
    "flex h-7 items-center gap-2.5 rounded-m px-2 text-label text-muted transition-colors duration-75 hover:bg-bg2 hover:text-text @max-[50rem]/app:justify-center @max-[50rem]/app:px-0";
  if (live.length > 2) {
    return (
      <Link to="/runs" className={line} title={text.live(live.length)}>
        <StatusShape status={live.some((run) => run.status === "running") ? "running" : "paused"} />
        <span className={wide}>{text.live(live.length)}</span>
      </Link>
    );
  }
  const shown = live.length > 0 ? live : last ? [last] : [];
  return shown.map((run) => (
    <Link
      key={run.id}
      to="/runs/$id"
      params={{ id: run.id }}
      className={line}
      title={`${run.name}: ${text.status[shownStatus(run)]}${run.subject && `\n${run.subject}`}`}
    >
      <StatusShape status={shownStatus(run)} />
      <span className={`min-w-0 flex-1 truncate ${wide}`}>
        {run.name}
        <span className="sr-only">, {text.status[shownStatus(run)]}</span>
      </span>
      <span className="num shrink-0 whitespace-nowrap text-faint @max-[50rem]/app:hidden">
        {run.status === "running"
          ? percent(doneTasks(run.jobs), run.jobs.total)
          : when(run.finished ?? run.started)}
      </span>
    </Link>
  ));
}

function Mark() {
  return (
    <svg aria-hidden="true" viewBox="0 0 18 18" className="size-4.5 shrink-0">
      <rect width="18" height="18" rx="5" className="fill-accent" />
      <circle cx="8.4" cy="8.4" r="3.6" fill="none" strokeWidth="1.8" className="stroke-bg1" />
      <path d="m11.2 11.2 2.6 2.6" strokeWidth="1.8" strokeLinecap="round" className="stroke-bg1" />
    </svg>
  );
}
