// The settings of the window, and facts about the program and its data.

import { Switch } from "@base-ui/react/switch";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { currentActions } from "../actions/registry";
import { setSingleKeys, setTheme, stepZoom, useSingleKeys, useTheme, useZoom } from "../appearance";
import { backend } from "../backend";
import type { AppInfo, Theme } from "../backend/types";
import { changeSettings, infoQuery } from "../data/queries";
import { bytes, number, share } from "../format";
import { notifyError } from "../frame/notices";
import { Button, IconButton } from "../parts/button";
import { Segments } from "../parts/field";
import { Icon } from "../parts/icon";
import { Card, Page } from "../parts/page";
import { CopyButton, Failed } from "../parts/states";
import { text } from "../text";

const THEMES: Theme[] = ["system", "light", "dark"];

export function SettingsPage() {
  const info = useQuery(infoQuery);
  return (
    <Page title={text.settings.title}>
      <div className="min-h-0 flex-1 overflow-y-auto">
        <div className="mx-auto grid max-w-[44rem] gap-6 p-6">
          <Section title={text.settings.appearance}>
            <ThemeLine />
            <ZoomLine />
          </Section>
          <Section title={text.settings.keyboard}>
            <KeysLine />
          </Section>
          {info.error ? (
            <Failed error={info.error} retry={() => void info.refetch()} />
          ) : (
            <Facts info={info.data} />
          )}
        </div>
      </div>
    </Page>
  );
}

function ThemeLine() {
  const client = useQueryClient();
  const theme = useTheme();
  const choose = (next: Theme) => {
    setTheme(next);
    changeSettings(client, { theme: next }).catch(notifyError);
  };
  return (
    <Line name={text.settings.theme}>
      <Segments
        label={text.settings.theme}
        value={theme}
        options={THEMES.map((one) => [one, text.settings.themes[one]])}
        onChange={choose}
      />
    </Line>
  );
}

function ZoomLine() {
  const zoom = useZoom();
  return (
    <Line name={text.settings.zoom}>
      <IconButton label={text.settings.zoomOut} onClick={() => stepZoom(-1)} disabled={zoom <= 0.8}>
        <Icon name="minus" />
      </IconButton>
      <Button look="ghost" onClick={() => stepZoom(0)} title={text.settings.zoomReset} className="num w-16">
        {share(zoom)}
        <span className="sr-only">, {text.settings.zoomReset}</span>
      </Button>
      <IconButton label={text.settings.zoomIn} onClick={() => stepZoom(1)} disabled={zoom >= 2}>
        <Icon name="plus" />
      </IconButton>
    </Line>
  );
}

function KeysLine() {
  const on = useSingleKeys();
  return (
    <Line name={text.settings.keys} about={text.settings.keysAbout}>
      <Button
        look="ghost"
        onClick={() =>
          currentActions()
            .find((action) => action.id === "keys")
            ?.run()
        }
      >
        {text.settings.allKeys}
      </Button>
      <Toggle label={text.settings.keys} checked={on} onChange={setSingleKeys} />
    </Line>
  );
}

export function Toggle({
  label,
  id,
  checked,
  onChange,
}: {
  label?: string;
  id?: string;
  checked: boolean;
  onChange: (on: boolean) => void;
}) {
  return (
    <Switch.Root
      id={id}
      aria-label={label}
      checked={checked}
      onCheckedChange={onChange}
      className="flex h-6 w-10 shrink-0 items-center rounded-full border border-edge bg-bg2 px-0.75 transition-colors duration-75 data-checked:border-accent data-checked:bg-accent"
    >
      <Switch.Thumb className="size-4 rounded-full bg-edge transition-transform duration-75 data-checked:translate-x-4 data-checked:bg-on-accent" />
    </Switch.Root>
  );
}

function Facts({ info }: { info: AppInfo | undefined }) {
  const details = () =>
    info
      ? `Quaero ${info.version}\nSQLite ${info.sqlite_version}\n${number(info.documents)} documents, ${bytes(info.database_bytes)}`
      : "";
  return (
    <>
      <Section title={text.settings.data}>
        <Line name={text.settings.dataDir} about={info?.data_dir ?? "\u00a0"} mono>
          <Button onClick={() => backend.openDataDir().catch(notifyError)}>
            <Icon name="openFolder" className="size-3.5" />
            {text.settings.open}
          </Button>
        </Line>
        <Line name={text.settings.definitionsDir} about={info?.definitions_dir ?? "\u00a0"} mono />
        <Line name={text.settings.documents}>
          <span className="num">{info && number(info.documents)}</span>
        </Line>
        <Line name={text.settings.size}>
          <span className="num">{info && bytes(info.database_bytes)}</span>
        </Line>
      </Section>
      <Section title={text.settings.about}>
        <Line name={text.settings.version}>
          <span className="num">{info?.version}</span>
        </Line>
        <Line name={text.settings.sqlite}>
          <span className="num mr-2">{info?.sqlite_version}</span>
          <CopyButton label={text.settings.copy} value={details} />
        </Line>
      </Section>
    </>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h2 className="mb-2 text-ui font-semibold">{title}</h2>
      <Card>{children}</Card>
    </section>
  );
}

function Line({
  name,
  about,
  mono,
  children,
}: {
  name: string;
  about?: string;
  mono?: boolean;
  children?: ReactNode;
}) {
  return (
    <div className="flex min-h-11 flex-wrap items-center gap-x-2 gap-y-1 border-b border-line px-3.5 py-1.5 last:border-0">
      <div className="min-w-0 flex-1 basis-48">
        <div>{name}</div>
        {about && (
          <div
            className={`text-muted [overflow-wrap:anywhere] ${mono ? "font-mono text-label leading-4.5" : "text-meta"}`}
          >
            {about}
          </div>
        )}
      </div>
      {children}
    </div>
  );
}
