// plainjob as one of the programs that `cargo xtask bench engine` compares. All workers are of one
// process: a no-op leaves nothing for a second one to do but wait for the lock.

import Database from "better-sqlite3";
import { better, defineQueue, defineWorker, JobStatus } from "plainjob";

import * as bench from "../../protocol.mjs";

const silent = { error: console.error, warn: console.warn, info() {}, debug() {} };
const database = new Database(`${bench.values.dir}/jobs.db`);
const queue = defineQueue({ connection: better(database), logger: silent });
// The queue itself chooses NORMAL.
database.pragma(`synchronous = ${bench.isFull ? "FULL" : "NORMAL"}`);
bench.ready("plainjob", database);

function start(workers, handler) {
  for (let n = 0; n < workers; n++) {
    void defineWorker("no_op", handler, { queue, logger: silent }).start();
  }
}

async function burn() {
  const [jobs, batch] = [bench.number("jobs"), bench.number("batch", 1)];
  const queuing = performance.now();
  for (let first = 0; first < jobs; first += batch) {
    const size = Math.min(batch, jobs - first);
    if (batch === 1) queue.add("no_op", bench.payload(first));
    else queue.addMany("no_op", Array.from({ length: size }, (_, n) => bench.payload(first + n)));
  }
  const queued = performance.now();
  let handled = 0;
  start(bench.number("workers", 1), async () => {
    handled += 1;
  });
  while (handled < jobs) await bench.turn();
  while (queue.countJobs({ status: JobStatus.Done }) < jobs) await bench.turn();
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
    const latency = bench.latency((payload) => queue.add("no_op", payload));
    start(bench.number("workers", 16), async (job) =>
      latency.started(bench.numberOf(JSON.parse(job.data))),
    );
    await latency.run();
    break;
  }
  case "idle":
    start(bench.number("workers", 16), async () => {});
    await bench.idle();
}
