"""huey as one of the programs that `cargo xtask bench engine` compares. It has no call for several
jobs at once. A job leaves the queue before it is handled, so it is lost if the program dies then."""

import logging
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

import protocol as bench  # noqa: E402
from huey import SqliteHuey  # noqa: E402

logging.getLogger("huey").setLevel(logging.WARNING)
queue = SqliteHuey(filename=os.path.join(bench.values["dir"], "jobs.db"), fsync=bench.is_full)
# Without fsync it would choose OFF. All of its threads share this connection.
bench.choose_sync(queue.storage.conn)
bench.ready("huey", queue.storage.conn)
handle = None


@queue.task()
def no_op(text):
    handle(text)


def start(workers):
    queue.create_consumer(workers=workers, worker_type="thread").start()


if bench.program == "burn":
    jobs = bench.number("jobs")
    countdown = bench.Countdown(jobs)
    handle = lambda _: countdown.one()  # noqa: E731
    queuing = time.perf_counter()
    for n in range(jobs):
        no_op(bench.payload(n))
    queued = time.perf_counter()
    start(bench.number("workers", 1))
    countdown.wait()
    bench.result(bench.rates(jobs, queuing, queued, time.perf_counter()))
elif bench.program in ("latency", "wake"):
    latency = bench.Latency()
    handle = latency.started
    start(bench.number("workers", 16))
    latency.run(no_op)
elif bench.program == "idle":
    start(bench.number("workers", 16))
    bench.idle()
os._exit(0)
