"""What every Python program of the benchmark shares: arguments, arrivals and output, as README.md
beside this file describes them."""

import json
import sys
import threading
import time

program = sys.argv[1]
values = dict(word.split("=", 1) for word in sys.argv[2:])
is_full = values["sync"] == "full"


def number(key, fallback=0):
    return int(values.get(key, fallback))


def payload(n):
    """64 bytes that begin with the job's number."""
    return str(n).ljust(64)


def tell(thing):
    print(json.dumps(thing), flush=True)


def choose_sync(connection):
    connection.execute(f"pragma synchronous={2 if is_full else 1}")


def ready(peer, connection):
    """Whoever this is, and how its database really is set."""

    def ask(sql):
        return connection.execute(sql).fetchone()[0]

    tell(
        {
            "ready": {
                "peer": peer,
                "journal_mode": ask("pragma journal_mode"),
                "synchronous": ask("pragma synchronous"),
                "sqlite": ask("select sqlite_version()"),
            }
        }
    )


def result(found):
    """The result. Waits to be looked at until the caller closes stdin."""
    tell({"result": found})
    sys.stdin.read()


def idle():
    """The `idle` program, once the queue and its workers stand: does nothing for a while."""
    tell({"idle": "begins"})
    time.sleep(number("seconds", 60))
    tell({"idle": "ends"})
    result({})


class Countdown:
    """Waits until so many jobs have been handled."""

    def __init__(self, jobs):
        self._left = jobs
        self._lock = threading.Lock()
        self._done = threading.Event()

    def one(self):
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()

    def wait(self):
        self._done.wait()


def rates(jobs, queuing, queued, done):
    return {"enqueue_per_s": jobs / (queued - queuing), "jobs_per_s": jobs / (done - queued)}


class Latency:
    """When each job is due, was accepted and was started."""

    def __init__(self):
        with open(values["arrivals"], encoding="ascii") as lines:
            self._due = [float(line) for line in lines]
        self._accepted = [0.0] * len(self._due)
        self._started = [0.0] * len(self._due)
        self._countdown = Countdown(len(self._due))
        self._origin = 0.0

    def _micros(self):
        return (time.perf_counter() - self._origin) * 1e6

    def started(self, text):
        """The first line of the job's handler."""
        self._started[int(text)] = self._micros()
        self._countdown.one()

    def run(self, enqueue):
        """Queues each job when it is due, and reports when all have been handled."""
        self._origin = time.perf_counter()
        for n, due in enumerate(self._due):
            time.sleep(max(0.0, due - self._micros()) / 1e6)
            enqueue(payload(n))
            self._accepted[n] = self._micros()
        self._countdown.wait()

        def since(moments):
            return [round(max(0.0, at - then)) for at, then in zip(self._started, moments)]

        result({"due_to_start_us": since(self._due), "accepted_to_start_us": since(self._accepted)})
