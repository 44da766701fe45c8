"""HTTP requests as jobs, beside a bare reqwest loop with as many at once and the same server."""

import contextlib
import json
import subprocess
import time

from . import figures, peers, wire
from .daemon import running

BATCH = 10_000
# Requests, how many at once, and the milliseconds after which the server answers.
LOADS = [(20_000, 64, 0), (20_000, 10_000, 1_000)]


def run(bench):
    report = figures.Report()
    program = built(bench)
    if not program:
        report.table("HTTP: left out", "why").add(
            "the bench `requests` could not be built: `cargo bench --no-run --bench requests`"
        )
        return report
    table = report.table(
        "HTTP requests as jobs", "load", "twolane, jobs/s", "bare reqwest loop, requests/s", "ratio"
    )
    for count, at_once, delay in LOADS:
        results = against(bench, program, count, at_once, delay)
        compared = figures.ratio(results["ours"], results["bare"])
        answered = f"after {delay} ms" if delay else "at once"
        load = f"{count:,} requests, {at_once:,} in flight, answered {answered}"
        table.add(load, figures.median(results["ours"]), figures.median(results["bare"]), compared)
        what = f"http jobs, {at_once:,} in flight, to a bare reqwest loop"
        report.at_least(what, 0.5, compared, " ×")
    table.note(
        "Each job's answer is kept as its output, and its outcome is synced; the loop throws both "
        "away."
    )
    return report


def against(bench, program, count, at_once, delay):
    """Rates of jobs and of the bare loop, asking one server in turn."""
    with running(bench) as daemon, served(program, delay) as url:
        daemon.call("SetQueue", queue="default", max=at_once)
        contenders = {
            "ours": lambda: count / asked_by_jobs(daemon, url, count),
            "bare": lambda: count / asked_bare(program, url, count, at_once),
        }
        return figures.interleave(1 if bench.quick else 3, contenders)


def built(bench):
    """The loop and the server, built as the daemon is."""
    command = [
        "cargo",
        "bench",
        "--no-run",
        "--bench",
        "requests",
        "--message-format",
        "json",
        "--locked",
    ]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(
            command, cwd=bench.root, check=True, capture_output=True, text=True
        ).stdout
        lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        found = [
            line["executable"] for line in lines if line.get("target", {}).get("name") == "requests"
        ]
        return found[-1] if found else None


@contextlib.contextmanager
def served(program, delay):
    """The server; gives the address to ask."""
    with peers.process([program, "serve", delay], stdout=subprocess.PIPE, text=True) as server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/"


def asked_bare(program, url, count, at_once):
    """Seconds, by the loop's own clock."""
    command = [program, "ask", url, str(count), str(at_once)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def asked_by_jobs(daemon, url, count):
    """Seconds from the first submit to the last outcome; all must have succeeded."""
    data = wire.jobs_message([{"kind": "http", "params": {"url": url}}] * BATCH)
    with daemon.connect() as connection:
        before = connection.call("Stats")["succeeded"]
        start = time.perf_counter()
        connection.send(data * (count // BATCH))
        replies = [connection.reply() for _ in range(count // BATCH)]
        connection.call("Wait", jobs=wire.all_of(replies[0]["first"], replies[-1]["last"]))
        spent = time.perf_counter() - start
        succeeded = connection.call("Stats")["succeeded"] - before
    if succeeded != count:
        raise RuntimeError(f"only {succeeded} of {count} requests succeeded")
    return spent
