import { Popover } from "@base-ui/react/popover";
import type { Facet } from "../../backend/types";
import { number } from "../../format";
import { buttonClass } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { text } from "../../text";
import type { DocumentsAt } from "./documents";

type Change = (change: Partial<Record<keyof DocumentsAt, unknown>>) => void;
type Facets = { tags: Facet[]; source_types: Facet[]; sites: Facet[] };

/** What the results have in common, to narrow them by. */
export function FilterButton({
  facets,
  at,
  onChange,
}: {
  facets: Facets | undefined;
  at: DocumentsAt;
  onChange: Change;
}) {
  const chosen = (at.tags?.length ?? 0) + (at.sources?.length ?? 0) + (at.run ? 1 : 0);
  const toggle = (list: string[] | undefined, value: string) =>
    list?.includes(value) ? list.filter((one) => one !== value) : [...(list ?? []), value];
  return (
    <Popover.Root>
      <Popover.Trigger className={buttonClass("plain")}>
        <Icon name="filter" className="size-3.5" />
        <span className="@max-[40rem]/main:sr-only">{text.documents.filter}</span>
        {chosen > 0 && <span className="num text-meta text-accent">{number(chosen)}</span>}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner side="bottom" align="end" sideOffset={6} className="z-10">
          <Popover.Popup
            aria-label={text.documents.filters}
            className="grid max-h-[min(32rem,70vh)] w-72 gap-3 overflow-y-auto rounded-l border border-line bg-bg1 p-3 shadow-pop outline-none"
          >
            <Group
              title={text.documents.tags}
              facets={withChosen(facets?.tags, at.tags)}
              chosen={at.tags ?? []}
              name={(value) => value}
              onToggle={(tag) => onChange({ tags: toggle(at.tags, tag) })}
            />
            <Group
              title={text.documents.sources}
              facets={withChosen(facets?.source_types, at.sources)}
              chosen={at.sources ?? []}
              name={text.source}
              onToggle={(source) => onChange({ sources: toggle(at.sources, source) })}
            />
            <Group
              title={text.documents.sites}
              facets={facets?.sites ?? []}
              chosen={sitesOf(at.q)}
              name={(value) => value}
              onToggle={(site) => onChange({ q: toggleSite(at.q ?? "", site) })}
            />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

type GroupProps = {
  title: string;
  facets: Facet[];
  chosen: string[];
  name: (value: string) => string;
  onToggle: (value: string) => void;
};

function Group({ title, facets, chosen, name, onToggle }: GroupProps) {
  if (facets.length === 0) return null;
  return (
    <fieldset>
      <legend className="mb-1 px-1.5 text-label font-medium text-faint">{title}</legend>
      {facets.map(({ value, count }) => (
        <label key={value} className="flex min-h-7 items-center gap-2 rounded-s px-1.5 hover:bg-bg2">
          <input
            type="checkbox"
            checked={chosen.includes(value)}
            onChange={() => onToggle(value)}
            className="size-3.5 accent-accent"
          />
          <span className="min-w-0 flex-1 truncate">{name(value)}</span>
          <span className="num text-label text-faint">{number(count)}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** A chosen value stays in view even when nothing is left that has it. */
function withChosen(facets: Facet[] | undefined, chosen: string[] | undefined): Facet[] {
  const all = facets ?? [];
  const lost = (chosen ?? []).filter((value) => all.every((facet) => facet.value !== value));
  return [...lost.map((value) => ({ value, count: 0 })), ...all];
}

const SITE = /(^|\s)site:(\S+)/g;
const sitesOf = (q: string | undefined) => [...(q ?? "").matchAll(SITE)].map((match) => match[2] ?? "");

/** Sites are part of the query itself. */
function toggleSite(q: string, site: string): string | undefined {
  const next = sitesOf(q).includes(site)
    ? q.replace(SITE, (whole, _space, value) => (value === site ? "" : whole)).trim()
    : `${q.replace(SITE, "").trim()} site:${site}`.trim();
  return next === "" ? undefined : next;
}

/** What is chosen, each to be taken away. */
export function Filters({ at, onChange }: { at: DocumentsAt; onChange: Change }) {
  const chips = [
    ...(at.run ? [{ key: "run", name: text.documents.run(at.run), without: { run: undefined } }] : []),
    ...(at.tags ?? []).map((tag) => ({
      key: `t${tag}`,
      name: tag,
      without: { tags: at.tags?.filter((one) => one !== tag) },
    })),
    ...(at.sources ?? []).map((source) => ({
      key: `s${source}`,
      name: text.source(source),
      without: { sources: at.sources?.filter((one) => one !== source) },
    })),
  ];
  if (chips.length === 0) return null;
  return (
    <ul className="flex flex-wrap gap-1.5 border-b border-line px-4 py-2">
      {chips.map((chip) => (
        <li key={chip.key}>
          <button
            type="button"
            aria-label={text.documents.remove(chip.name)}
            onClick={() => onChange(chip.without)}
            className="tinted inline-flex h-6 items-center gap-1 rounded-l border px-2 text-label text-accent"
          >
            {chip.name}
            <Icon name="close" className="size-3" />
          </button>
        </li>
      ))}
    </ul>
  );
}
