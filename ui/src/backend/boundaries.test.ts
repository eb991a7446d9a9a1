// The product has one way to the desktop, and nothing of the fake backend in it.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { expect, it } from "vitest";

const source = join(import.meta.dirname, "..");

it("lets only the desktop backend import the desktop", () => {
  const guilty = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file))
    .filter((file) => {
      const text = readFileSync(join(source, file), "utf8");
      return /from "@tauri-apps\//.test(text) || /^import \{[^}]*\} from "[./]*bindings"/m.test(text);
    });
  expect(guilty.sort()).toEqual(["backend/tauri.ts", "bindings.ts"]);
});

it.each([
  ["production", false],
  ["fake", true],
])("in a %s build, the fake backend being there is %s", { timeout: 60_000 }, async (mode, there) => {
  const outDir = mkdtempSync(join(tmpdir(), "quaero-ui-"));
  try {
    await build({ root: join(source, ".."), mode, logLevel: "silent", build: { outDir, emptyOutDir: true } });
    const files = readdirSync(outDir, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".js"),
    );
    const code = files.map((file) => readFileSync(join(outDir, file), "utf8")).join();
    expect(code.includes("How solar panels age")).toBe(there);
    expect(code.includes("__TAURI_INTERNALS__")).toBe(!there);
    // The content policy forbids both.
    expect(readFileSync(join(outDir, "index.html"), "utf8")).not.toMatch(/<style|<script>/);
  } finally {
    rmSync(outDir, { recursive: true });
  }
});
