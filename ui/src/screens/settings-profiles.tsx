// Sign-in profiles: cookies and headers that steps take along to one site. What is in one goes in and
// never comes back.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { backend } from "../backend";
import type { ImportedProfile, KeyPlace, ProfileView } from "../backend/types";
import { useCommand } from "../data/hooks";
import { profilesQuery, providersQuery } from "../data/queries";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Field, Input, inputClass } from "../parts/field";
import { Line, Section } from "../parts/settings-lines";
import { Failed, InlineError } from "../parts/states";
import { text } from "../text";

const words = text.services.profiles;

export function Profiles() {
  const query = useQuery(profilesQuery);
  const [adding, setAdding] = useState<"sign-in" | "import" | null>(null);
  const [imported, setImported] = useState<ImportedProfile | null>(null);
  const done = (profile: ImportedProfile) => {
    setImported(profile);
    setAdding(null);
  };
  return (
    <Section title={words.title}>
      <p className="border-b border-line px-3.5 py-2 text-meta text-muted">{words.about}</p>
      {query.error && <Failed error={query.error} retry={() => void query.refetch()} />}
      {query.data?.map((profile) => (
        <Row key={profile.name} profile={profile} />
      ))}
      <Line name={words.add} about={words.addAbout}>
        {imported && (
          <span role="status" className="text-meta text-muted">
            {words.kept(imported.profile.name, imported.left_out)}
          </span>
        )}
        <Button onClick={() => setAdding("sign-in")}>{words.signIn}</Button>
        <Button onClick={() => setAdding("import")}>{words.import}</Button>
      </Line>
      <Dialog
        open={adding !== null}
        onClose={() => setAdding(null)}
        title={adding === "sign-in" ? words.signInTitle : words.importTitle}
        closeLabel={text.services.close}
        // Whoever comes back from the other window clicks anywhere.
        steadfast={adding === "sign-in"}
        className="w-[32rem]"
      >
        {adding === "sign-in" && <SignIn done={done} cancel={() => setAdding(null)} />}
        {adding === "import" && <Import done={done} />}
      </Dialog>
    </Section>
  );
}

function Row({ profile }: { profile: ProfileView }) {
  const client = useQueryClient();
  const removing = useCommand(async () => {
    await backend.deleteProfile(profile.name);
    await client.invalidateQueries({ queryKey: profilesQuery.queryKey });
  });
  const what = words.what(profile.site, profile.cookies, profile.headers.length);
  const ends = profile.expires ? words.ends(profile.expires.slice(0, 10)) : "";
  return (
    <Line name={profile.name} about={`${what} ${ends}`.trim()}>
      {removing.error && <InlineError error={removing.error} />}
      <Button
        look="ghost"
        busy={removing.pending}
        aria-label={words.removeOf(profile.name)}
        onClick={() => removing.start(undefined)}
      >
        {words.remove}
      </Button>
    </Line>
  );
}

/** Where the key that opens profiles is kept, if there is none yet: the safest place that there is. */
function usePlace(): KeyPlace {
  const secrets = useQuery(providersQuery).data?.secrets;
  return secrets && secrets.keychain !== "missing" ? "keychain" : secrets?.file_unlocked ? "file" : "session";
}

function Sealed({ place }: { place: KeyPlace }) {
  return (
    <p className="text-meta text-muted">
      {words.sealed} {text.services.placeHelp[place]}
    </p>
  );
}

function NameField({ value, change }: { value: string; change: (name: string) => void }) {
  return (
    <Field label={words.name} help={words.nameHelp}>
      {(wiring) => <Input {...wiring} value={value} onChange={(event) => change(event.target.value)} />}
    </Field>
  );
}

/** Signing in, in a window of its own that lives as long as this does. */
function SignIn({ done, cancel }: { done: (kept: ImportedProfile) => void; cancel: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [address, setAddress] = useState("");
  const place = usePlace();
  const [opened, setOpened] = useState<string | null>(null);
  const left = useRef(false);
  const opening = useCommand(async () => {
    await backend.openSignIn(name.trim(), address.trim());
    if (left.current) await backend.closeSignIn();
    return address.trim();
  }, setOpened);
  const keeping = useCommand(async () => {
    const kept = await backend.keepSignIn(place);
    await client.invalidateQueries({ queryKey: profilesQuery.queryKey });
    return kept;
  }, done);
  useEffect(() => {
    left.current = false;
    return () => {
      left.current = true;
      backend.closeSignIn().catch(() => {});
    };
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const command = opened ? keeping : opening;
    if (!command.pending) command.start(undefined);
  };
  return (
    <form noValidate onSubmit={submit} className="grid min-h-0 gap-3 overflow-y-auto p-4">
      {opened ? (
        <p role="status">{words.signInNow(opened)}</p>
      ) : (
        <>
          <p className="text-muted">{words.signInHow}</p>
          <NameField value={name} change={setName} />
          <Field label={words.address} help={words.addressHelp}>
            {(wiring) => (
              <Input
                {...wiring}
                value={address}
                placeholder="example.org/login"
                onChange={(event) => setAddress(event.target.value)}
              />
            )}
          </Field>
        </>
      )}
      <Sealed place={place} />
      {opening.error && <InlineError error={opening.error} />}
      {keeping.error && <InlineError error={keeping.error} />}
      <div className="flex justify-end gap-2 pt-1">
        <Button look="ghost" onClick={cancel}>
          {words.cancel}
        </Button>
        {opened && (
          <Button
            busy={opening.pending}
            onClick={() => {
              keeping.reset();
              opening.start(undefined);
            }}
          >
            {words.showWindow}
          </Button>
        )}
        <Button type="submit" look="primary" busy={opening.pending || keeping.pending}>
          {opened ? words.keep : words.openWindow}
        </Button>
      </div>
    </form>
  );
}

function Import({ done }: { done: (imported: ImportedProfile) => void }) {
  const client = useQueryClient();
  const place = usePlace();
  const [name, setName] = useState("");
  const [site, setSite] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const [headers, setHeaders] = useState("");
  const importing = useCommand(async () => {
    const cookies = file ? await file.text() : "";
    const wish = { name: name.trim(), site: site.trim() || null, cookies, headers, place };
    const imported = await backend.importProfile(wish);
    await client.invalidateQueries({ queryKey: profilesQuery.queryKey });
    return imported;
  }, done);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!importing.pending) importing.start(undefined);
  };
  return (
    <form noValidate onSubmit={submit} className="grid min-h-0 gap-3 overflow-y-auto p-4">
      <p className="text-muted">{words.how}</p>
      <NameField value={name} change={setName} />
      <Field label={words.cookies} help={words.cookiesHelp}>
        {(wiring) => (
          <input
            {...wiring}
            type="file"
            accept=".txt,.json"
            className={inputClass}
            onChange={(event) => setFile(event.target.files?.[0] ?? null)}
          />
        )}
      </Field>
      <Field label={words.site} help={words.siteHelp}>
        {(wiring) => (
          <Input
            {...wiring}
            value={site}
            placeholder="example.org"
            onChange={(event) => setSite(event.target.value)}
          />
        )}
      </Field>
      <Field label={words.headers} help={words.headersHelp}>
        {(wiring) => (
          <textarea
            {...wiring}
            rows={3}
            spellCheck={false}
            autoComplete="off"
            className={`${inputClass} h-auto py-1 font-mono text-label`}
            value={headers}
            onChange={(event) => setHeaders(event.target.value)}
          />
        )}
      </Field>
      <Sealed place={place} />
      {importing.error && <InlineError error={importing.error} />}
      <div className="flex justify-end pt-1">
        <Button type="submit" look="primary" busy={importing.pending}>
          {words.importNow}
        </Button>
      </div>
    </form>
  );
}
