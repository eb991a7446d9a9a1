// The values that definitions use by name.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { changeSettings, settingsQuery } from "../data/queries";
import { notifyError } from "../frame/notices";
import { Button, IconButton } from "../parts/button";
import { Field, Input } from "../parts/field";
import { Icon } from "../parts/icon";
import { Section } from "../parts/settings-lines";
import { text } from "../text";

const words = text.settings;

export function Values() {
  const client = useQueryClient();
  const values = useQuery(settingsQuery).data?.values ?? {};
  const change = (next: Record<string, string>) =>
    void changeSettings(client, { values: next }).catch(notifyError);
  const names = Object.keys(values).sort();
  return (
    <Section title={words.values}>
      <p className="border-b border-line px-3.5 py-2 text-meta text-muted">{words.valuesAbout}</p>
      {names.map((name) => (
        <Row
          key={name}
          name={name}
          value={values[name] ?? ""}
          onChange={(value) => change({ ...values, [name]: value })}
          onRemove={() =>
            change(Object.fromEntries(Object.entries(values).filter(([other]) => other !== name)))
          }
        />
      ))}
      <Add taken={names} onAdd={(name, value) => change({ ...values, [name]: value })} />
    </Section>
  );
}

type RowProps = { name: string; value: string; onChange: (value: string) => void; onRemove: () => void };

function Row({ name, value, onChange, onRemove }: RowProps) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const keep = () => {
    if (typed !== value) onChange(typed);
  };
  return (
    <div className="flex items-center gap-2 border-b border-line px-3.5 py-1.5">
      <code className="w-40 shrink-0 truncate font-mono text-label @max-[30rem]/main:w-24" title={name}>
        {`{${name}}`}
      </code>
      <Input
        aria-label={words.valueOf(name)}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={keep}
        onKeyDown={(event) => event.key === "Enter" && keep()}
      />
      <IconButton label={words.removeValue(name)} onClick={onRemove}>
        <Icon name="close" />
      </IconButton>
    </div>
  );
}

function Add({ taken, onAdd }: { taken: string[]; onAdd: (name: string, value: string) => void }) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const first = useRef<HTMLInputElement>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = name.trim();
    const wrong = !/^[a-z0-9_]{1,64}$/.test(wanted)
      ? words.valueBad
      : taken.includes(wanted)
        ? words.valueTaken
        : null;
    setProblem(wrong);
    first.current?.focus();
    if (wrong) return;
    onAdd(wanted, value);
    setName("");
    setValue("");
  };
  return (
    <form noValidate onSubmit={submit} className="flex flex-wrap items-start gap-2 px-3.5 py-2.5">
      <div className="w-40 @max-[30rem]/main:w-full">
        <Field label={words.valueName} error={problem}>
          {(wiring) => (
            <Input
              {...wiring}
              ref={first}
              value={name}
              onChange={(event) => {
                setName(event.target.value);
                setProblem(null);
              }}
            />
          )}
        </Field>
      </div>
      <div className="min-w-32 flex-1">
        <Field label={words.value}>
          {(wiring) => <Input {...wiring} value={value} onChange={(event) => setValue(event.target.value)} />}
        </Field>
      </div>
      <Button type="submit" className="mt-5.5" aria-label={words.addValue}>
        <Icon name="plus" className="size-3.5" />
        {words.saveValue}
      </Button>
    </form>
  );
}
