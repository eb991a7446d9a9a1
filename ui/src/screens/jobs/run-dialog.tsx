// Asks for a job's values and runs it.

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useRef, useState } from "react";
import { backend } from "../../backend";
import type { DefinitionSummary, InputField } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { runQuery } from "../../data/queries";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { Field, Input } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { InlineError, SkeletonRows } from "../../parts/states";
import { text } from "../../text";
import { Toggle } from "../settings";

type Props = { open: boolean; onClose: () => void; definition: DefinitionSummary; from: string | null };

export function RunDialog({ open, onClose, definition, from }: Props) {
  const earlier = useQuery({ ...runQuery(from ?? ""), enabled: open && from !== null });
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={text.jobs.runNamed(definition.name)}
      closeLabel={text.jobs.cancel}
    >
      {from !== null && earlier.isPending ? (
        <SkeletonRows rows={2} />
      ) : (
        <Form definition={definition} given={earlier.data?.variables ?? []} onClose={onClose} />
      )}
    </Dialog>
  );
}

function Form({
  definition,
  given,
  onClose,
}: {
  definition: DefinitionSummary;
  given: [string, string][];
  onClose: () => void;
}) {
  const navigate = useNavigate();
  const [values, setValues] = useState(() => {
    const earlier = new Map(given);
    return new Map(definition.inputs.map((input) => [input.key, earlier.get(input.key) ?? input.default]));
  });
  const [problems, setProblems] = useState(new Map<string, string>());
  /** The same until a value changes or the run has begun, so that pressing twice starts one. */
  const request = useRef(crypto.randomUUID());
  const form = useRef<HTMLFormElement>(null);
  const start = useCommand(backend.runDefinition.bind(backend), (id) => {
    void navigate({ to: "/runs/$id", params: { id } });
  });

  const change = (key: string, value: string) => {
    setValues(new Map(values).set(key, value));
    setProblems(new Map([...problems].filter(([other]) => other !== key)));
    start.reset();
    request.current = crypto.randomUUID();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wrong = new Map(
      definition.inputs.flatMap((input) => {
        const problem = check(input, (values.get(input.key) ?? "").trim());
        return problem ? [[input.key, problem] as const] : [];
      }),
    );
    setProblems(wrong);
    const [first] = wrong.keys();
    if (first !== undefined) {
      (form.current?.elements.namedItem(first) as HTMLElement | null)?.focus();
      return;
    }
    // What equals the definition's own value is left to the definition.
    const set = definition.inputs
      .map((input) => [input.key, (values.get(input.key) ?? "").trim(), input.default] as const)
      .filter(([, value, own]) => value !== own)
      .map(([key, value]): [string, string] => [key, value]);
    start.start({ request_id: request.current, definition_id: definition.id, set });
  };

  return (
    <form ref={form} noValidate onSubmit={submit} className="flex min-h-0 flex-col">
      <div className="grid gap-3.5 overflow-y-auto p-4">
        {definition.inputs.length === 0 && <p className="text-muted">{text.jobs.noInputs}</p>}
        {definition.inputs.map((input) => (
          <InputRow
            key={input.key}
            input={input}
            value={values.get(input.key) ?? ""}
            problem={problems.get(input.key) ?? null}
            onChange={(value) => change(input.key, value)}
          />
        ))}
        {start.error && <InlineError error={start.error} />}
      </div>
      <div className="flex justify-end gap-2 border-t border-line bg-bg0 px-4 py-3">
        <Button onClick={onClose}>{text.jobs.cancel}</Button>
        <Button type="submit" look="primary" busy={start.pending}>
          {text.jobs.start}
        </Button>
      </div>
    </form>
  );
}

function check(input: InputField, value: string): string | null {
  if (value === "") return input.required ? text.jobs.fillIn : null;
  if (input.kind === "number" && !Number.isFinite(Number(value))) return text.jobs.notNumber;
  if (input.kind === "url" && !/^https?:\/\/./.test(value)) return text.home.site.bad;
  return null;
}

type RowProps = {
  input: InputField;
  value: string;
  problem: string | null;
  onChange: (value: string) => void;
};

function InputRow({ input, value, problem, onChange }: RowProps) {
  const choosing = useCommand(backend.chooseFolder.bind(backend), (path: string | null) => {
    if (path !== null) onChange(path);
  });
  if (input.kind === "boolean") {
    return (
      <div className="flex items-center gap-3">
        <div className="min-w-0 flex-1">
          <div className="text-meta font-medium">{input.label}</div>
          <div className="text-meta text-muted">{input.help}</div>
        </div>
        <Toggle label={input.label} checked={value === "true"} onChange={(on) => onChange(String(on))} />
      </div>
    );
  }
  return (
    <Field
      label={input.label}
      help={input.help}
      error={problem ?? choosing.error?.message ?? null}
      {...(input.required ? { note: text.jobs.required } : {})}
    >
      {(wiring) => (
        <div className="flex gap-2">
          <Input
            {...wiring}
            name={input.key}
            value={value}
            required={input.required}
            inputMode={input.kind === "number" ? "numeric" : input.kind === "url" ? "url" : "text"}
            onChange={(event) => onChange(event.target.value)}
          />
          {input.kind === "folder" && (
            <Button onClick={() => choosing.start(undefined)} busy={choosing.pending}>
              <Icon name="folder" className="size-3.5" />
              {text.home.folder.choose}
            </Button>
          )}
        </div>
      )}
    </Field>
  );
}
