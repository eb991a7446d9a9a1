// What the window says about failures fits the failures that the program knows.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { remedies } from "./text";

const crates = join(import.meta.dirname, "../../src-tauri/crates");

/** The ways in which the Rust sources give the error of a job its code. */
const CODES = [
  /(?:permanent|transient|error)\(\s*"([a-z_]+)"/g,
  /code: "([a-z_]+)"/g,
  /Self::\w+(?: ?[({].*?[)}])? => "([a-z_]+)",/g,
  /=> \(\s*"([a-z_]+)",/g,
];

function codes(): Set<string> {
  const sources = ["net", "workers", "engine", "store"].flatMap((crate) =>
    readdirSync(join(crates, crate, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".rs") && !/(^|[/\\])tests\b/.test(file))
      .map((file) => readFileSync(join(crates, crate, "src", file), "utf8")),
  );
  return new Set(
    sources.flatMap((source) =>
      CODES.flatMap((form) => [...source.matchAll(form)].map(([, code]) => code ?? "")),
    ),
  );
}

it("has remedies only for errors that exist", () => {
  const known = codes();
  expect(known).toContain("address_refused");
  expect(Object.keys(remedies).filter((code) => !known.has(code))).toEqual([]);
});
