import { Popover } from "@base-ui/react/popover";
import { IconButton } from "../../parts/button";
import { Icon } from "../../parts/icon";
import { text } from "../../text";

/** What a search can say; a press tries it. */
export function QueryHelp({ onPick }: { onPick: (query: string) => void }) {
  return (
    <section aria-label={text.queryHelp.title}>
      <h2 className="px-2 pb-1.5 text-label font-medium text-faint">{text.queryHelp.title}</h2>
      <ul>
        {text.queryHelp.rows.map(([query, meaning]) => (
          <li key={query}>
            <button
              type="button"
              onClick={() => onPick(query)}
              className="flex min-h-7 w-full items-center gap-4 rounded-s px-2 text-left hover:bg-bg2"
            >
              <span className="code w-40 shrink-0">{query}</span>
              <span className="text-muted">{meaning}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function QueryHelpButton({ onPick }: { onPick: (query: string) => void }) {
  return (
    <Popover.Root>
      <Popover.Trigger render={<IconButton label={text.documents.help} />}>
        <Icon name="help" />
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner side="bottom" align="start" sideOffset={6} className="z-10">
          <Popover.Popup
            aria-label={text.queryHelp.title}
            className="max-w-[calc(100vw-2rem)] rounded-l border border-line bg-bg1 p-2.5 shadow-pop outline-none"
          >
            <QueryHelp onPick={onPick} />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
