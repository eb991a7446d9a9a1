// Outside services: which can be used, where they are, and their keys. A key goes in and never comes
// back: the window only learns where it is kept.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { backend } from "../backend";
import type { KeyPlace, ProviderTest, ProviderView, SecretsInfo } from "../backend/types";
import { useCommand } from "../data/hooks";
import { changeSettings, providersQuery, settingsQuery } from "../data/queries";
import { notifyError } from "../frame/notices";
import { Button, IconButton } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Field, Input, Segments } from "../parts/field";
import { Icon } from "../parts/icon";
import { Line, Section } from "../parts/settings-lines";
import { Failed, InlineError } from "../parts/states";
import { text } from "../text";
import { MailFields } from "./settings-mail";

const words = text.services;

/** Services that search the web, in the order in which they are asked if the user has set none. */
const SEARCH = ["searxng", "brave", "tavily"];

export function Services() {
  const query = useQuery(providersQuery);
  const [editing, setEditing] = useState<string | null>(null);
  const { providers = [], secrets } = query.data ?? {};
  const edited = providers.find((provider) => provider.id === editing);
  return (
    <Section title={words.title}>
      <p className="border-b border-line px-3.5 py-2 text-meta text-muted">{words.about}</p>
      {query.error && <Failed error={query.error} retry={() => void query.refetch()} />}
      {providers.map((provider) => (
        <Line key={provider.id} name={provider.name} about={provider.purpose}>
          <State provider={provider} />
          <Button onClick={() => setEditing(provider.id)} aria-label={words.setUpOf(provider.name)}>
            {provider.ready ? words.change : words.setUp}
          </Button>
        </Line>
      ))}
      <SearchOrder providers={providers} />
      {secrets && (
        <Dialog
          open={edited !== undefined}
          onClose={() => setEditing(null)}
          title={edited?.name ?? ""}
          closeLabel={words.close}
          className="w-[32rem]"
        >
          {edited && (
            <Setup key={edited.id} provider={edited} secrets={secrets} done={() => setEditing(null)} />
          )}
        </Dialog>
      )}
    </Section>
  );
}

function State({ provider }: { provider: ProviderView }) {
  const { ready, key, key_problem } = provider;
  const says = key_problem
    ? words.keyUnknown
    : key
      ? words.keyIn[key]
      : provider.needs_key
        ? words.noKey
        : ready
          ? words.ready
          : words.noAddress;
  return (
    <span className={`inline-flex items-center gap-1.5 text-meta ${ready ? "text-ok" : "text-muted"}`}>
      {ready && <Icon name="check" className="size-3.5" />}
      {says}
    </span>
  );
}

type SetupProps = { provider: ProviderView; secrets: SecretsInfo; done: () => void };

function Setup({ provider, secrets, done }: SetupProps) {
  const client = useQueryClient();
  const settings = useQuery(settingsQuery).data;
  const [address, setAddress] = useState(provider.base_url ?? "");
  const [key, setKey] = useState("");
  const [passphrase, setPassphrase] = useState("");
  const [place, setPlace] = useState<KeyPlace>(bestPlace(provider, secrets));
  const [mail, setMail] = useState(settings?.mail ?? {});
  const [result, setResult] = useState<ProviderTest | null>(null);
  const reread = () => client.invalidateQueries({ queryKey: providersQuery.queryKey });
  const isMail = provider.id === "smtp";
  const locked = place === "file" && !secrets.file_unlocked;

  const save = async () => {
    const providers = { ...settings?.providers };
    const base_url = address.trim() || null;
    if (isMail) await changeSettings(client, { mail });
    else if (base_url !== (provider.base_url ?? null)) {
      if (base_url) providers[provider.id] = { base_url };
      else delete providers[provider.id];
      await changeSettings(client, { providers });
    }
    if (key.trim()) {
      if (locked) await backend.unlockKeys(passphrase);
      await backend.keepKey({ provider: provider.id, key, place });
      setKey("");
    }
    await reread();
  };
  const saving = useCommand(save, done);
  const testing = useCommand(async () => {
    setResult(null);
    await save();
    return backend.testProvider(provider.id);
  }, setResult);
  const forgetting = useCommand(async () => {
    await backend.forgetKey(provider.id);
    await reread();
  });
  const busy = saving.pending || testing.pending || forgetting.pending;
  const error = saving.error ?? testing.error ?? forgetting.error;
  const start = (what: { reset: () => void; start: () => void }) => {
    for (const one of [saving, testing, forgetting]) one.reset();
    what.start();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) start({ reset: saving.reset, start: () => saving.start(undefined) });
  };

  return (
    <form noValidate onSubmit={submit} className="grid min-h-0 gap-3 overflow-y-auto p-4">
      <p className="text-muted">{provider.purpose}</p>
      {isMail && <MailFields mail={mail} onChange={setMail} />}
      {/* A key that is pasted must not end up as an address. */}
      {(provider.needs_key || isMail) &&
        (provider.key === "environment" ? (
          <p className="text-muted">{words.inEnvironment(provider.key_variable)}</p>
        ) : (
          <>
            <Field
              label={isMail ? words.password : words.key}
              help={provider.key_problem ?? keyHelp(provider)}
            >
              {(wiring) => (
                <Input
                  {...wiring}
                  type="password"
                  value={key}
                  placeholder={provider.key ? words.keyIn[provider.key] : ""}
                  onChange={(event) => setKey(event.target.value)}
                />
              )}
            </Field>
            {key.trim() !== "" && (
              <>
                <div className="grid justify-items-start gap-1">
                  <Segments
                    label={words.place}
                    value={place}
                    options={places(secrets).map((one) => [one, words.places[one]])}
                    onChange={setPlace}
                  />
                  <p className="text-meta text-muted">{words.placeHelp[place]}</p>
                </div>
                {locked && (
                  <Field
                    label={words.passphrase}
                    help={secrets.file_exists ? words.passphraseOld : words.passphraseNew}
                  >
                    {(wiring) => (
                      <Input
                        {...wiring}
                        type="password"
                        value={passphrase}
                        onChange={(event) => setPassphrase(event.target.value)}
                      />
                    )}
                  </Field>
                )}
              </>
            )}
          </>
        ))}
      {!isMail && (
        <Field label={words.address} help={provider.default_base_url ? words.addressHelp : words.addressOwn}>
          {(wiring) => (
            <Input
              {...wiring}
              value={address}
              placeholder={provider.default_base_url ?? "http://localhost:8888/"}
              onChange={(event) => setAddress(event.target.value)}
            />
          )}
        </Field>
      )}
      {error && <InlineError error={error} />}
      {result && (
        <p role="status" className={result.ok ? "text-ok" : "text-error"}>
          {result.message} {result.quota}
        </p>
      )}
      <div className="flex flex-wrap items-center gap-2 pt-1">
        {provider.key && provider.key !== "environment" && (
          <Button
            look="ghost"
            busy={busy}
            onClick={() => start({ reset: forgetting.reset, start: () => forgetting.start(undefined) })}
          >
            {words.forget}
          </Button>
        )}
        <span className="flex-1" />
        <Button
          busy={busy}
          onClick={() => start({ reset: testing.reset, start: () => testing.start(undefined) })}
        >
          {testing.pending ? words.testing : words.test}
        </Button>
        <Button type="submit" look="primary" busy={busy}>
          {words.save}
        </Button>
      </div>
    </form>
  );
}

function keyHelp(provider: ProviderView): string {
  return provider.key_page ? words.keyPage(provider.key_page) : words.keyHelp;
}

/** Where a key can go here. */
function places(secrets: SecretsInfo): KeyPlace[] {
  return secrets.keychain === "missing" ? ["file", "session"] : ["keychain", "file", "session"];
}

function bestPlace(provider: ProviderView, secrets: SecretsInfo): KeyPlace {
  if (provider.key && provider.key !== "environment") return provider.key;
  if (secrets.keychain !== "missing") return "keychain";
  return "file";
}

/** Which search service is asked first. */
function SearchOrder({ providers }: { providers: ProviderView[] }) {
  const client = useQueryClient();
  const chosen = useQuery(settingsQuery).data?.search_order ?? [];
  const order = [
    ...chosen.filter((id) => SEARCH.includes(id)),
    ...SEARCH.filter((id) => !chosen.includes(id)),
  ];
  const name = (id: string) => providers.find((provider) => provider.id === id)?.name ?? id;
  const first = (id: string) =>
    void changeSettings(client, { search_order: [id, ...order.filter((one) => one !== id)] }).catch(
      notifyError,
    );
  if (providers.length === 0) return null;
  return (
    <Line name={words.order} about={words.orderAbout}>
      <ol className="flex flex-wrap items-center gap-x-3">
        {order.map((id, at) => (
          <li key={id} className="flex items-center gap-1">
            <span className="num text-faint">{at + 1}</span>
            {name(id)}
            {at > 0 && (
              <IconButton label={words.first(name(id))} onClick={() => first(id)}>
                <Icon name="up" />
              </IconButton>
            )}
          </li>
        ))}
      </ol>
    </Line>
  );
}
