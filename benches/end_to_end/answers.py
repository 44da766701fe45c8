"""Whether the daemon answers in time while every core burns."""

import contextlib
import os
import pathlib
import socket
import time

from . import figures, wire
from .daemon import running, submit

EVERY_SECONDS = 0.004
FILE_BYTES = 256 << 20


def run(bench):
    report = figures.Report()
    calls = 200 if bench.quick else 600
    rounds = 1 if bench.quick else 3
    cores = len(os.sched_getaffinity(0))
    with running(bench) as daemon, Echo() as echo:
        loads = {
            "idle": contextlib.nullcontext,
            "checksums on every core": lambda: checksums(daemon, bench, cores),
            "commands burning every core": lambda: commands(daemon, cores),
        }
        results = figures.interleave(
            rounds, {name: loaded(load, daemon, echo, calls) for name, load in loads.items()}
        )
    table = report.table(
        "A status call on an open connection, ms",
        "while",
        "p50",
        "p99",
        "p99 beyond idle",
        "an echo of a bare socket, p99",
    )
    p99 = {
        name: figures.median([figures.percentile(calls, 99) for calls, _ in found])
        for name, found in results.items()
    }
    floor = {
        name: figures.median([figures.percentile(echoes, 99) for _, echoes in found])
        for name, found in results.items()
    }
    for name, found in results.items():
        middle = figures.median([figures.median(calls) for calls, _ in found])
        table.add(name, middle, p99[name], p99[name] - p99["idle"], floor[name])
        if name != "idle":
            report.at_most(f"p99 of a call beyond idle, {name}", 1, p99[name] - p99["idle"], " ms")
    table.note(
        "The bench's own process waits for a core as the daemon does: the last column is what a "
        "process of normal priority that only echoes is answered with."
    )
    return report


def loaded(load, daemon, echo, calls):
    """A round under one load: milliseconds of each call and of each echo."""

    def measure():
        with load(), daemon.connect() as connection:
            data = wire.message("Status")
            asked, echoed = [], []
            for _ in range(calls):
                asked.append(1e3 * connection.timed(data))
                time.sleep(EVERY_SECONDS)
                echoed.append(1e3 * echo.timed())
                time.sleep(EVERY_SECONDS)
            return asked, echoed

    return measure


class Echo:
    """The least that a daemon could do: another process that sends back what it reads."""

    def __enter__(self):
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.ours.close()
            while data := theirs.recv(100):
                theirs.sendall(data)
            os._exit(0)
        theirs.close()
        return self

    def __exit__(self, *_):
        self.ours.close()
        os.waitpid(self.pid, 0)

    def timed(self):
        start = time.perf_counter()
        self.ours.sendall(b"x")
        self.ours.recv(100)
        return time.perf_counter() - start


@contextlib.contextmanager
def busy(daemon, jobs):
    """Jobs that run for as long as it takes, and have certainly begun."""
    first, last = submit_all(daemon, jobs)
    while daemon.call("Lanes")["cpu_running"] < len(jobs):
        time.sleep(0.01)
    time.sleep(0.5)
    try:
        yield
    finally:
        daemon.call("Cancel", jobs=wire.all_of(first, last))
        daemon.wait_all(first, last)


def submit_all(daemon, jobs):
    with daemon.connect() as connection:
        return submit(connection, jobs)


def commands(daemon, cores):
    """Shells that count, each in a process of its own."""
    return busy(daemon, [{"argv": ["sh", "-c", "while :; do :; done"], "class": "cpu"}] * cores)


def checksums(daemon, bench, cores):
    """Digests inside the daemon, again and again of a file that lies in the kernel's memory."""
    file = pathlib.Path(bench.folder) / "large"
    if not file.exists():
        file.write_bytes(b"twolane." * (FILE_BYTES // 8))
    job = {"kind": "checksum", "params": {"path": [str(file)] * 2_000, "algorithm": "sha256"}}
    return busy(daemon, [job] * cores)
