"""Many jobs that wait at once: a thousand commands, ten thousand sleeps inside the daemon."""

import contextlib
import time

from . import figures, machine, peers, wire
from .daemon import running

COMMANDS = 1_000
SLEEPS = 10_000
SECONDS = 5


def run(bench):
    report = figures.Report()
    rounds = 1 if bench.quick else 3
    commands(bench, report, rounds)
    inside(bench, report, rounds)
    return report


def commands(bench, report, rounds):
    lines = "".join(f"{line}\n" for line in range(COMMANDS)).encode()
    options = ["submit", "--wait", "--range", "--class", "io", "--array", f"1-{COMMANDS}"]
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(running(bench))
        ours = daemon.command("--quiet", *options, "--", "sleep", SECONDS)
        xargs = ["xargs", f"-P{COMMANDS}", "-I{}", "sleep", str(SECONDS)]
        contenders = {
            "twolane, --class io": lambda: machine.timed(ours, env=daemon.environment),
            f"xargs -P{COMMANDS}": lambda: machine.timed(xargs, input=lines),
        }
        if "hq" in bench.peers:
            queue = stack.enter_context(peers.hyperqueue(bench, COMMANDS))
            contenders["hq array"] = lambda: queue.array(COMMANDS, "sleep", str(SECONDS))
        results = figures.interleave(rounds, contenders)
    table = report.table(
        f"{COMMANDS:,} × sleep {SECONDS} at once", "contender", "s", "s beyond the sleep"
    )
    for name, spent in results.items():
        table.add(name, figures.median(spent), figures.median(spent) - SECONDS)
    report.at_most(
        f"{COMMANDS:,} commands sleeping {SECONDS} s",
        5.7,
        figures.median(results["twolane, --class io"]),
        " s",
    )


def inside(bench, report, rounds):
    """Sleeps inside the daemon: their time, and what each weighs while it runs."""
    job = {"kind": "sleep", "params": {"for": f"{SECONDS}s"}, "class": "io"}
    spent, weights = zip(*[slept(bench, job) for _ in range(rounds)])
    table = report.table(f"{SLEEPS:,} sleeps of {SECONDS} s inside the daemon", "what", "median")
    table.add("s from the submit to the last outcome", figures.median(spent))
    table.add("KB of RSS a running job", figures.median(weights))
    report.at_most(
        f"{SLEEPS:,} sleeps of {SECONDS} s in the daemon", 5.5, figures.median(spent), " s"
    )
    report.at_most("memory of a running sleep", 10, figures.median(weights), " KB")


def slept(bench, job):
    """Seconds of one round in a fresh daemon, and the KB a job by which it grew."""
    data = wire.jobs_message([job] * SLEEPS)
    with running(bench) as daemon, daemon.connect() as connection, daemon.connect() as asking:
        asking.call("Status")
        empty = daemon.memory()
        start = time.perf_counter()
        connection.send(data)
        reply = connection.reply()
        connection.send(wire.message("Wait", jobs=wire.all_of(reply["first"], reply["last"])))
        while (
            asking.call("Status")["io_running"] < SLEEPS
            and time.perf_counter() - start < SECONDS - 0.5
        ):
            time.sleep(0.05)
        full = daemon.memory()
        connection.reply()
        return time.perf_counter() - start, (full - empty) / SLEEPS / 1e3
