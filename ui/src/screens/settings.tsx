// The settings of the window, and facts about the program and its data.

import { useQuery, useQueryClient } from "@tanstack/react-query";
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
import { Page } from "../parts/page";
import { Line, Section } from "../parts/settings-lines";
import { CopyButton, Failed } from "../parts/states";
import { Toggle } from "../parts/toggle";
import { text } from "../text";
import { Profiles } from "./settings-profiles";
import { OldRuns } from "./settings-runs";
import { Services } from "./settings-services";
import { Values } from "./settings-values";

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
          <OldRuns />
          <Services />
          <Profiles />
          <Values />
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
