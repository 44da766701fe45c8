"""A million jobs queued: their weight, how soon the daemon is back, whether anybody notices."""

import subprocess
import time

from . import figures, peers, wire
from .daemon import resident, running, submit_array
from .machine import timed

MILLION = 1_000_000
JOB = {"argv": ["/bin/true", "some", "arguments"], "name": "one-of-many"}
CALLS = 40


def run(bench):
    report = figures.Report()
    weight = report.table(
        f"{MILLION:,} jobs queued",
        "contender",
        "submitted in, s",
        "RSS empty, MB",
        "RSS full, MB",
        "restart to first answer, s",
        "RSS after restart, MB",
    )
    asked = report.table(
        "Asking the daemon that holds them, ms", "call", "median", "p99", "longest"
    )
    for name, fill in {"as one array": as_array, "as single jobs": as_singles}.items():
        queued(bench, report, weight, asked, name, fill)
    if "beanstalkd" in bench.peers:
        weight.add(*beanstalkd(bench))
    asked.note(
        "Calls on an open connection, and command lines with the start of their process. The "
        "loop's turn is the longest of all while they were asked."
    )
    return report


def queued(bench, report, weight, asked, name, fill):
    """One daemon with a million jobs, full, restarted and asked."""
    with running(bench) as daemon:
        daemon.call("Pause", queue="default")
        empty = daemon.memory()
        start = time.perf_counter()
        calls = fill(daemon, MILLION)
        filled = time.perf_counter() - start
        full = daemon.memory()
        restart = restarted(daemon)
        after = daemon.memory()
        told = f"twolane, {name}" + (f" ({calls} calls)" if calls > 1 else "")
        weight.add(told, filled, megabytes(empty), megabytes(full), restart, megabytes(after))
        report.at_most(
            f"memory with {MILLION:,} {name}", 150, megabytes(max(full, after)), " MB RSS"
        )
        report.at_most(f"restart with {MILLION:,} {name}", 2, restart, " s")
        if name == "as one array":
            report.at_most("a million-job array, submitted", 1, filled, " s")
        asking(report, asked, daemon, name)


def as_array(daemon, count):
    with daemon.connect() as connection:
        return submit_array(connection, JOB, count)[2]


def as_singles(daemon, count):
    data = wire.jobs_message([JOB] * 10_000)
    calls = count // 10_000
    with daemon.connect() as connection:
        for _ in range(calls):
            connection.send(data)
            connection.reply()
    return calls


def restarted(daemon):
    """Seconds from a start after a crash until the first answer: the median of three."""
    spent = []
    for _ in range(3):
        daemon.kill()
        spent.append(daemon.start())
    return figures.median(spent)


def megabytes(size):
    return size / 1e6


def asking(report, table, daemon, name):
    """What clients ask while all of them are queued."""
    with daemon.connect() as connection:
        newest = connection.call("List", newest_first=True, limit=1)["jobs"][0]["id"]
        before = connection.call("Stats")["turn_longest_seconds"]
        calls = {
            "list, first page of 1,000": wire.message("List"),
            "list, newest page of 1,000": wire.message("List", newest_first=True),
            "list, first page of 100": wire.message("List", limit=100),
            "explain, the last in line": wire.message("Explain", id=newest),
            "status": wire.message("Status"),
        }
        spent = {
            call: [1e3 * connection.timed(data) for _ in range(CALLS)]
            for call, data in calls.items()
        }
        changes = [change(connection) for _ in range(CALLS)]
        spent["pause"], spent["resume"] = zip(*changes)
        turn = 1e3 * connection.call("Stats")["turn_longest_seconds"]
    words = {
        "`twolane list`": ["list"],
        "`twolane explain`": ["explain", newest],
        "`twolane status`": ["status"],
    }
    for name_of, command in words.items():
        spent[name_of] = [1e3 * shell(daemon, command) for _ in range(10)]
    for call, values in spent.items():
        table.add(
            f"{call} ({name})", figures.median(values), figures.percentile(values, 99), max(values)
        )
    table.add(f"the loop's longest turn ({name})", "", "", turn)
    if turn <= 1e3 * before:
        table.note(
            f"The longest turn {name} was before anybody asked, in the start with all of them."
        )
    report.at_most(f"`twolane list`, {name}", 20, figures.median(spent["`twolane list`"]), " ms")
    report.at_most(
        f"list, a page of 1,000, {name}",
        20,
        figures.median(spent["list, newest page of 1,000"]),
        " ms",
    )
    report.at_most(
        f"`twolane explain`, {name}", 5, figures.median(spent["`twolane explain`"]), " ms"
    )
    report.at_most(f"the loop's longest turn, {name}", 10, turn, " ms")


def shell(daemon, words):
    """Seconds of a command line, its process included."""
    return timed(daemon.command(*words), env=daemon.environment, stderr=subprocess.DEVNULL)


def change(connection):
    """Milliseconds of a resume and of the pause after it. What starts in between is over soon."""
    resumed = connection.timed(wire.message("Resume", queue="default"))
    paused = connection.timed(wire.message("Pause", queue="default"))
    return 1e3 * paused, 1e3 * resumed


def beanstalkd(bench):
    """The same of beanstalkd, filled without a sync for each job."""
    folder = peers.folder_in(bench.folder, "beanstalkd")
    with peers.beanstalkd(bench, folder, "-f", "50") as (port, process):
        empty = resident(process.pid)
        filled = wire.pipelined_puts(port, b"/bin/true some arguments", MILLION)
        full = resident(process.pid)
    start = time.perf_counter()
    with peers.beanstalkd(bench, folder, "-f0") as (port, process):
        restart = time.perf_counter() - start
        after = resident(process.pid)
    return (
        "beanstalkd, synced each 50 ms",
        filled,
        megabytes(empty),
        megabytes(full),
        restart,
        megabytes(after),
    )
