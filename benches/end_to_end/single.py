"""One job on an idle daemon: from the shell, and over a socket beside a sync and a spawn."""

import contextlib
import time

from . import figures, machine, peers, wire
from .daemon import running

JOB = {"argv": [machine.TRUE], "class": "cpu"}


def run(bench):
    report = figures.Report()
    times = 60 if bench.quick else 400
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(running(bench))
        connection = stack.enter_context(daemon.connect())
        file = stack.enter_context(machine.SyncedFile(bench.folder))
        command = daemon.command("run", "--", machine.TRUE)
        contenders = {
            "twolane run -- true": lambda: machine.timed(command, env=daemon.environment),
            "posix_spawn of true": machine.spawn_true,
            "submit and wait, open connection": lambda: to_outcome(connection),
            "one synced write and one posix_spawn": lambda: file.write() + machine.spawn_true(),
        }
        if "task-spooler" in bench.peers:
            spooler = stack.enter_context(peers.spooler(bench, 2))
            tsp = [spooler.program, "-nf", machine.TRUE]
            contenders["tsp -nf true"] = lambda: machine.timed(tsp, env=spooler.environment)
        for contender in contenders.values():
            contender()
        results = figures.interleave(times, contenders)
        inside = [lives(connection, job) for job in newest(connection, times)]
    tell(report, results, inside)
    return report


def to_outcome(connection):
    """Seconds from the first byte of a submit to the answer that the job is final."""
    data = wire.jobs_message([JOB]) + wire.message("Wait", jobs={"last": True})
    start = time.perf_counter()
    connection.send(data)
    connection.reply()
    connection.reply()
    return time.perf_counter() - start


def newest(connection, count):
    page = connection.call("List", newest_first=True, limit=min(1_000, 2 * count))["jobs"]
    return [job["id"] for job in page]


def lives(connection, job):
    """Milliseconds by the daemon's own record: until the start, and the child's own time."""
    told = connection.call("Show", id=job)["job"]
    attempt = told["attempts"][-1]
    return since(told["submitted_at"], attempt["started_at"]), 1e3 * attempt["wall_seconds"]


def since(earlier, later):
    """Milliseconds between two texts of RFC 3339 of the same day."""
    seconds = [
        float(text[17:-1]) + 60 * int(text[14:16]) + 3600 * int(text[11:13])
        for text in (earlier, later)
    ]
    return 1e3 * (seconds[1] - seconds[0])


def tell(report, results, inside):
    table = report.table("One job on an idle daemon, ms", "contender", "p50", "p99", "to tsp")
    base = results.get("tsp -nf true", [])
    milli = {name: [1e3 * value for value in values] for name, values in results.items()}
    for name, values in milli.items():
        compared = figures.ratio(results[name], base) if base else ""
        table.add(name, figures.median(values), figures.percentile(values, 99), compared)
    to_start, child = (figures.median(column) for column in zip(*inside))
    table.note(
        f"By the daemon's record the median job started {to_start:.2f} ms after it was submitted, "
        f"and its process took {child:.2f} ms. task-spooler keeps nothing on the disk."
    )
    ours = milli["twolane run -- true"]
    report.at_most("`twolane run -- true`, p50", 3, figures.median(ours), " ms")
    report.at_most("`twolane run -- true`, p99", 6, figures.percentile(ours, 99), " ms")
    inner = figures.ratio(
        results["submit and wait, open connection"], results["one synced write and one posix_spawn"]
    )
    report.at_most("submit to outcome in the daemon to one sync and one spawn", 1.5, inner, " ×")
