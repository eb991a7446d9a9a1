"""persist-queue as one of the programs that `cargo xtask bench engine` compares: a queue with
acknowledgements and nothing around it, so the workers are threads of this program. It has no call
for several jobs at once."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

import protocol as bench  # noqa: E402
from persistqueue import SQLiteAckQueue  # noqa: E402

queue = SQLiteAckQueue(bench.values["dir"], multithreading=True, auto_commit=True)
bench.choose_sync(queue._putter)
bench.ready("persist-queue", queue._putter)


def start(workers, handle, acknowledged):
    def work():
        while True:
            job = queue.get(raw=True)
            handle(job["data"])
            queue.ack(id=job["pqid"])
            acknowledged()

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()


if bench.program == "burn":
    jobs = bench.number("jobs")
    countdown = bench.Countdown(jobs)
    queuing = time.perf_counter()
    for n in range(jobs):
        queue.put(bench.payload(n))
    queued = time.perf_counter()
    start(bench.number("workers", 1), lambda _: None, countdown.one)
    countdown.wait()
    bench.result(bench.rates(jobs, queuing, queued, time.perf_counter()))
elif bench.program in ("latency", "wake"):
    latency = bench.Latency()
    start(bench.number("workers", 16), latency.started, lambda: None)
    latency.run(queue.put)
elif bench.program == "idle":
    start(bench.number("workers", 16), lambda _: None, lambda: None)
    bench.idle()
os._exit(0)
