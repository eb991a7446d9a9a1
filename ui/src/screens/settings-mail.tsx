// Where reports are sent through.

import type { MailSecurity, MailSettings } from "../backend/types";
import { Field, Input, Select } from "../parts/field";
import { text } from "../text";

const words = text.services.mail;
const SECURITY: MailSecurity[] = ["start_tls", "tls", "none"];
const PORTS: Record<MailSecurity, string> = { tls: "465", start_tls: "587", none: "25" };

type Props = { mail: MailSettings; onChange: (mail: MailSettings) => void };

export function MailFields({ mail, onChange }: Props) {
  const security = mail.security ?? "start_tls";
  const change = (part: MailSettings) => onChange({ ...mail, ...part });
  const port = (typed: string) => {
    const number = Number.parseInt(typed, 10);
    change({ port: number > 0 && number < 65536 ? number : null });
  };
  return (
    <>
      <div className="grid grid-cols-[1fr_6rem] gap-3">
        <Field label={words.host}>
          {(wiring) => (
            <Input
              {...wiring}
              value={mail.host ?? ""}
              placeholder="smtp.example.org"
              onChange={(event) => change({ host: event.target.value.trim() })}
            />
          )}
        </Field>
        <Field label={words.port}>
          {(wiring) => (
            <Input
              {...wiring}
              inputMode="numeric"
              value={mail.port ?? ""}
              placeholder={PORTS[security]}
              onChange={(event) => port(event.target.value)}
            />
          )}
        </Field>
      </div>
      <Select
        label={words.security}
        value={security}
        options={SECURITY.map((one) => [one, words.securities[one]])}
        onChange={(next) => change({ security: next })}
      />
      <Field label={words.from}>
        {(wiring) => (
          <Input
            {...wiring}
            value={mail.from ?? ""}
            placeholder="reports@example.org"
            onChange={(event) => change({ from: event.target.value })}
          />
        )}
      </Field>
      <Field label={words.user} help={words.userHelp}>
        {(wiring) => (
          <Input
            {...wiring}
            value={mail.user ?? ""}
            onChange={(event) => change({ user: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}
