"""Two thousand times `true`, two at a time, from one bulk submit to the last synced outcome."""

import contextlib
import pathlib
import subprocess

from . import figures, machine, peers
from .daemon import running

COUNT = 2_000
# Of peers that would take minutes, fewer are run, and the rate is told.
SLOW = {"GNU parallel -j2": 400, "pueue, parallel 2": 60}
CONFIG = "[lanes]\ncpu = 2\n"


def run(bench):
    report = figures.Report()
    rounds = 3 if bench.quick else 9
    count = COUNT // 4 if bench.quick else COUNT
    lines = "".join(f"{line}\n" for line in range(count)).encode()
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(running(bench, CONFIG))
        before = daemon.call("Stats")
        contenders = {
            "twolane, --class cpu": lambda: count / by_each(daemon, "cpu", lines),
            "twolane, class auto": lambda: count / by_each(daemon, "auto", lines),
            "xargs -P2 -n1": lambda: (
                count / machine.timed(["xargs", "-P2", "-n1", machine.TRUE], input=lines)
            ),
        }
        loop = machine.compiled(pathlib.Path(__file__).with_name("spawn_loop.c"), bench.folder)
        if loop:
            contenders["posix_spawn, two threads"] = lambda: (
                count / machine.timed([loop, str(count), "2", machine.TRUE])
            )
        contenders |= quick_peers(bench, stack, count)
        results = figures.interleave(rounds, contenders)
        stats = daemon.call("Stats")
        slow = slow_peers(bench, stack)
        results |= figures.interleave(1 if bench.quick else 2, slow)
    tell(report, results, before, stats, count)
    return report


def by_each(daemon, kind, lines):
    """Seconds by the command line: one process that submits all and waits for all."""
    words = [
        "--quiet",
        "submit",
        "--wait",
        "--range",
        "--class",
        kind,
        "--each",
        "-",
        "--",
        machine.TRUE,
    ]
    return machine.timed(daemon.command(*words), input=lines, env=daemon.environment)


def quick_peers(bench, stack, count):
    found = {}
    if "task-spooler" in bench.peers:
        spooler = stack.enter_context(peers.spooler(bench, 2))
        found["tsp -n, 2 slots"] = lambda: count / 2 / spooled(spooler, count // 2)
    if "hq" in bench.peers:
        queue = stack.enter_context(peers.hyperqueue(bench, 2))
        found["hq array"] = lambda: count / queue.array(count, machine.TRUE)
    return found


def slow_peers(bench, stack):
    found = {}
    if "GNU parallel" in bench.peers:
        many = SLOW["GNU parallel -j2"]
        lines = "".join(f"{line}\n" for line in range(many)).encode()
        command = [bench.peers["GNU parallel"], "-j2", machine.TRUE]
        found["GNU parallel -j2"] = lambda: (
            many / machine.timed(command, input=lines, stderr=subprocess.DEVNULL)
        )
    if "pueue" in bench.peers:
        folder = peers.folder_in(bench.folder, "pueue")
        queue = stack.enter_context(peers.pueue(bench, folder, 2))
        many = SLOW["pueue, parallel 2"]
        found["pueue, parallel 2"] = lambda: many / queue.finished(many)
    return found


def spooled(spooler, count):
    """Seconds until tsp has run so many; its own command adds them one by one."""
    script = 'for i in $(seq "$1"); do "$0" -n true >/dev/null; done; "$0" -w'
    return machine.timed(["sh", "-c", script, spooler.program, str(count)], env=spooler.environment)


def tell(report, results, before, stats, count):
    table = report.table(
        f"{count:,} × true, two at a time", "contender", "jobs/s", "to xargs", "to posix_spawn"
    )
    xargs, loop = results["xargs -P2 -n1"], results.get("posix_spawn, two threads", [])
    for name, rates in sorted(results.items(), key=lambda each: -figures.median(each[1])):
        table.add(
            name,
            figures.median(rates),
            figures.ratio(rates, xargs),
            figures.ratio(rates, loop) if loop else "",
        )
    started = stats["started"] - before["started"]
    cpu = (stats["daemon_cpu_seconds"] - before["daemon_cpu_seconds"]) / started * 1e6
    commits = started / (stats["commits"] - before["commits"])
    table.note(
        "twolane was one `submit --wait --each -`, its process included; the daemon spent "
        f"{cpu:.0f} µs of CPU a job and synced once for {commits:.1f} jobs. GNU parallel and pueue "
        "ran fewer jobs; pueue's own wait looks every 2 s."
    )
    ours = results["twolane, --class cpu"]
    report.at_least("small jobs to xargs -P2 -n1", 1.3, figures.ratio(ours, xargs), " ×")
    if loop:
        report.at_least("small jobs to a posix_spawn loop", 0.85, figures.ratio(ours, loop), " ×")
    for name in results.keys() - {
        "twolane, --class cpu",
        "twolane, class auto",
        "xargs -P2 -n1",
        "posix_spawn, two threads",
    }:
        report.at_least(f"small jobs to {name}", 1, figures.ratio(ours, results[name]), " ×")
