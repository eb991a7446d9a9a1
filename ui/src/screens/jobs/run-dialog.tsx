// Asks for a job's values and runs it.

import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { backend } from "../../backend";
import type { DefinitionSummary } from "../../backend/types";
import { useCommand } from "../../data/hooks";
import { Dialog } from "../../parts/dialog";
import { isNotSetUp } from "../../parts/states";
import { text } from "../../text";
import { ValuesForm } from "./values-form";

type Props = { open: boolean; onClose: () => void; definition: DefinitionSummary };

export function RunDialog({ open, onClose, definition }: Props) {
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={text.jobs.runNamed(definition.name)}
      closeLabel={text.jobs.cancel}
    >
      <Form definition={definition} onClose={onClose} />
    </Dialog>
  );
}

function Form({ definition, onClose }: { definition: DefinitionSummary; onClose: () => void }) {
  const navigate = useNavigate();
  /** The same until a value changes or the run has begun, so that pressing twice starts one. */
  const request = useRef(crypto.randomUUID());
  const start = useCommand(backend.runDefinition.bind(backend), (id) => {
    void navigate({ to: "/runs/$id", params: { id } });
  });
  return (
    <ValuesForm
      inputs={definition.inputs}
      earlier={[]}
      busy={start.pending}
      error={start.error}
      onClose={onClose}
      onChange={() => {
        start.reset();
        request.current = crypto.randomUUID();
      }}
      onSubmit={(values) => {
        // What equals the definition's own value is left to the definition.
        const own = new Map(definition.inputs.map((input) => [input.key, input.default]));
        const set = values.filter(([key, value]) => value !== own.get(key));
        start.start({
          request_id: request.current,
          definition_id: definition.id,
          set,
          anyway: isNotSetUp(start.error),
        });
      }}
    />
  );
}
