// liteque as one of the programs that `cargo xtask bench engine` compares. It has no call for
// several jobs at once, and deletes a job that is done.

import { buildDBClient, Runner, SqliteQueue } from "liteque";

import * as bench from "../../protocol.mjs";

const client = buildDBClient(`${bench.values.dir}/jobs.db`, { runMigrations: true });
const database = client.$client ?? client.session.client;
// The client itself chooses NORMAL.
database.pragma(`synchronous = ${bench.isFull ? "FULL" : "NORMAL"}`);
bench.ready("liteque", database);
const queue = new SqliteQueue("no_op", client, {
  defaultJobArgs: { numRetries: 2 },
  keepFailedJobs: false,
});

function start(concurrency, run) {
  // A second between polls, as in its documentation.
  const options = { concurrency, pollIntervalMs: 1000, timeoutSecs: 60 };
  void new Runner(queue, { run }, options).run();
}

async function burn() {
  const jobs = bench.number("jobs");
  const queuing = performance.now();
  for (let n = 0; n < jobs; n++) await queue.enqueue(bench.payload(n));
  const queued = performance.now();
  let handled = 0;
  start(bench.number("workers", 1), async () => {
    handled += 1;
  });
  const left = database.prepare("select exists (select 1 from tasks)").pluck();
  while (handled < jobs) await bench.turn();
  while (left.get() === 1) await bench.turn();
  const done = performance.now();
  await bench.result({
    enqueue_per_s: (jobs * 1000) / (queued - queuing),
    jobs_per_s: (jobs * 1000) / (done - queued),
  });
}

switch (bench.program) {
  case "burn":
    await burn();
    break;
  case "latency":
  case "wake": {
    const latency = bench.latency((payload) => queue.enqueue(payload));
    start(bench.number("workers", 16), async (job) => latency.started(bench.numberOf(job.data)));
    await latency.run();
    break;
  }
  case "idle":
    start(bench.number("workers", 16), async () => {});
    await bench.idle();
}
