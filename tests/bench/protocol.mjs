// What every Node program of the benchmark shares: arguments, arrivals and output, as README.md
// beside this file describes them.

import { readFileSync } from "node:fs";

const words = process.argv.slice(2);

/** `PROGRAM key=value…` */
export const program = words[0];
export const values = Object.fromEntries(words.slice(1).map((word) => word.split(/=(.*)/s, 2)));
export const number = (key, fallback) => Number(values[key] ?? fallback);
export const isFull = values.sync === "full";

/** 64 bytes that begin with the job's number. */
export const payload = (n) => String(n).padEnd(64);
export const numberOf = (text) => Number(text);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Lets timers and other jobs of the event loop run. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whoever this is, and how its database (of better-sqlite3) really is set. */
export function ready(peer, database) {
  const pragma = (name) => database.pragma(name, { simple: true });
  const sqlite = database.prepare("select sqlite_version()").pluck().get();
  print({
    ready: {
      peer,
      journal_mode: pragma("journal_mode"),
      synchronous: pragma("synchronous"),
      sqlite,
    },
  });
}

/** The result. Waits to be looked at until the caller closes stdin, and ends the program. */
export async function result(result) {
  print({ result });
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once("end", resolve));
  process.exit(0);
}

/** The `idle` program, once the queue and its workers stand: does nothing for a while. */
export async function idle() {
  print({ idle: "begins" });
  await sleep(number("seconds", 60) * 1000);
  print({ idle: "ends" });
  await result({});
}

/** Queues each job when it is due. `started(n)` is the first line of its handler. */
export function latency(enqueue) {
  const due = readFileSync(values.arrivals, "utf8").trim().split("\n").map(Number);
  const accepted = [];
  const started = [];
  const origin = performance.now();
  const micros = () => (performance.now() - origin) * 1000;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  let left = due.length;
  const feed = async () => {
    for (const [n, at] of due.entries()) {
      // A timer is only good to a millisecond; the rest is waited for in turns.
      const wait = (at - micros()) / 1000;
      if (wait > 2) await sleep(wait - 2);
      while (micros() < at) await turn();
      await enqueue(payload(n));
      accepted[n] = micros();
    }
  };
  return {
    started(n) {
      started[n] = micros();
      if (--left === 0) finish();
    },
    async run() {
      await feed();
      await finished;
      const since = (from) => started.map((at, n) => Math.max(0, Math.round(at - from[n])));
      await result({ due_to_start_us: since(due), accepted_to_start_us: since(accepted) });
    },
  };
}

function print(object) {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}
