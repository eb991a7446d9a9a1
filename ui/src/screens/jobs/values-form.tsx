// Asks for the values of a run, each as its kind wants it.

import { type FormEvent, useRef, useState } from "react";
import { backend } from "../../backend";
import type { ApiError, InputField } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { Button } from "../../parts/button";
import { DialogFoot } from "../../parts/confirm";
import { Field, Input } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { InlineError, isNotSetUp } from "../../parts/states";
import { Toggle } from "../../parts/toggle";
import { text } from "../../text";

type Props = {
  inputs: InputField[];
  /** What each field starts with; without it, the input's default. */
  earlier: [string, string][];
  busy: boolean;
  error: ApiError | null;
  onChange: () => void;
  onClose: () => void;
  onSubmit: (values: [string, string][]) => void;
};

export function ValuesForm({ inputs, earlier, busy, error, onChange, onClose, onSubmit }: Props) {
  const [values, setValues] = useState(() => {
    const before = new Map(earlier);
    return new Map(inputs.map((input) => [input.key, before.get(input.key) ?? input.default]));
  });
  const [problems, setProblems] = useState(new Map<string, string>());
  const form = useRef<HTMLFormElement>(null);

  const change = (key: string, value: string) => {
    setValues(new Map(values).set(key, value));
    setProblems(new Map([...problems].filter(([other]) => other !== key)));
    onChange();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wrong = new Map(
      inputs.flatMap((input) => {
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
    onSubmit(inputs.map(({ key }) => [key, (values.get(key) ?? "").trim()]));
  };

  return (
    <form ref={form} noValidate onSubmit={submit} className="flex min-h-0 flex-col">
      <div className="grid gap-3.5 overflow-y-auto p-4">
        {inputs.length === 0 && <p className="text-muted">{text.jobs.noInputs}</p>}
        {inputs.map((input) => (
          <InputRow
            key={input.key}
            input={input}
            value={values.get(input.key) ?? ""}
            problem={problems.get(input.key) ?? null}
            onChange={(value) => change(input.key, value)}
          />
        ))}
        {error && <InlineError error={error} />}
      </div>
      <DialogFoot
        onClose={onClose}
        submit={isNotSetUp(error) ? text.jobs.anyway : text.jobs.start}
        busy={busy}
      />
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
