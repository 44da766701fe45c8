"""Growth: what one more job costs, by how many are queued already."""

import contextlib
import json
import time

from . import figures, peers, wire
from .daemon import running, submit, submit_array
from .machine import timed

ADDS = 500
DEPTHS = [0, 1_000, 5_000, 10_000]
HUGE = 1_000_000
# A peer that slows down is not waited for: its rate is told from what it managed in this time.
ADD_SECONDS = 4
# task-spooler hangs from about so many jobs on.
SPOOLER_MOST = 990
# What is waited for and what waits meanwhile: jobs inside the daemon, so that its own cost shows.
NOTHING = {"kind": "sleep", "params": {"for": "0s"}, "class": "io"}
ROUND = 10_000


def run(bench):
    report = figures.Report()
    adding(bench, report)
    living(bench, report)
    return report


def adding(bench, report):
    """Jobs added one command line at a time, at growing depths."""
    depths = DEPTHS[:2] if bench.quick else DEPTHS
    table = report.table(
        f"{ADDS} jobs added by the command line, jobs/s by depth of the queue",
        "contender",
        *depths,
        HUGE,
    )
    table.columns = [table.columns[0], *[f"{depth:,}" for depth in table.columns[1:]]]
    rates = {"twolane submit": {}, "pueue add": {}, "tsp": {}}
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(running(bench))
        daemon.call("Pause", queue="default")
        adders = {
            "twolane submit": lambda: timed(
                daemon.command("submit", "--", "/bin/true"), env=daemon.environment
            )
        }
        fills = {"twolane submit": lambda count: fill(daemon, count)}
        if "pueue" in bench.peers:
            queue = stack.enter_context(FilledPueue(bench))
            adders["pueue add"], fills["pueue add"] = queue.add, queue.fill
        if "task-spooler" in bench.peers:
            spooler = stack.enter_context(peers.spooler(bench, 1))
            spooler.call("-n", "sleep", "1000")
            adders["tsp"] = lambda: timed(
                [spooler.program, "-n", "/bin/true"], env=spooler.environment
            )
            fills["tsp"] = lambda count: [adders["tsp"]() for _ in range(count)]
        there = dict.fromkeys(adders, 0)
        for depth in [*depths, HUGE]:
            for name in adders:
                if (name == "tsp" and depth + 1 > SPOOLER_MOST) or (
                    depth == HUGE and name != "twolane submit"
                ):
                    continue
                fills[name](max(0, depth - there[name]))
                most = min(ADDS, SPOOLER_MOST - depth) if name == "tsp" else ADDS
                seconds, done = many(adders[name], most)
                there[name] = max(depth, there[name]) + done
                rates[name][depth] = done / seconds
                bench.say(f"{name} at {depth:,}: {done / seconds:.0f}/s")
    for name, found in rates.items():
        if found:
            table.add(name, *[found.get(depth) for depth in [*depths, HUGE]])
    table.note(
        f"One process a job; {ADDS} jobs or what was done in {ADD_SECONDS} s. An empty field was not "
        f"tried: tsp hangs beyond some {SPOOLER_MOST} jobs, pueue would take hours. pueue was filled "
        "through its state file."
    )
    ours = rates["twolane submit"]
    report.at_most(
        "submit by the command line at 1,000,000 queued to that at 0",
        1.2,
        ours[0] / ours[HUGE],
        " ×",
    )


def many(add, most):
    """Seconds and how many were done in them."""
    start = time.perf_counter()
    done = 0
    while done < most:
        add()
        done += 1
        if time.perf_counter() - start > ADD_SECONDS:
            break
    return time.perf_counter() - start, done


def fill(daemon, count, queue="default"):
    """Queues so many single jobs; many of them as arrays, which takes no minute."""
    job = {"argv": ["/bin/true"], "queue": queue}
    with daemon.connect() as connection:
        if count > 100_000:
            submit_array(connection, job, count // 100_000 * 100_000)
            count %= 100_000
        while count > 0:
            many_now = min(count, 10_000)
            submit(connection, [job] * many_now)
            count -= many_now


class FilledPueue:
    """A pueue whose queue is made deep between two lives of its daemon."""

    def __init__(self, bench):
        self.bench = bench
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = self.stack.enter_context(peers.folder_in(self.bench.folder, "pueue"))
        self.lives = self.stack.enter_context(contextlib.ExitStack())
        self.pueue = self.lives.enter_context(peers.pueue(self.bench, self.folder, 1))
        self.pueue.call("pause")
        return self

    def __exit__(self, *_):
        self.stack.close()

    def add(self):
        self.pueue.call("add", "--", "true")

    def fill(self, count):
        if not count:
            return
        self.lives.close()
        state = self.folder / "state.json"
        known = json.loads(state.read_text())
        multiply(known["tasks"], count)
        state.write_text(json.dumps(known))
        self.pueue = self.lives.enter_context(peers.pueue(self.bench, self.folder, 1))


def multiply(tasks, count):
    """Copies the last task so many times, under ids of their own."""
    last = max(map(int, tasks))
    for new in range(last + 1, last + 1 + count):
        tasks[str(new)] = tasks[str(last)] | {"id": new}


def living(bench, report):
    """The whole life of a job with few and with very many others queued, in two daemons."""
    rounds = 3 if bench.quick else 7
    with running(bench) as shallow, running(bench) as deep:
        for daemon, depth in ((shallow, 1_000), (deep, HUGE)):
            daemon.call("Pause", queue="default")
            fill(daemon, depth)
            daemon.call("SetQueue", queue="fast", max=64)
        contenders = {"at 1,000": lambda: life(shallow), "at 1,000,000": lambda: life(deep)}
        contenders["at 1,000"](), contenders["at 1,000,000"]()
        results = figures.interleave(rounds, contenders)
    table = report.table(
        f"{ROUND:,} in-process jobs with other jobs queued, per job",
        "step",
        "at 1,000, µs",
        "at 1,000,000, µs",
        "ratio",
    )
    for number, step in enumerate(
        [
            "submit, wall",
            "submit, daemon's CPU",
            "start and finish, wall",
            "start and finish, daemon's CPU",
        ]
    ):
        few, many_queued = ([life[number] for life in results[name]] for name in contenders)
        grown = figures.ratio(many_queued, few)
        table.add(step, figures.median(few) * 1e6, figures.median(many_queued) * 1e6, grown)
        if "CPU" in step:
            report.at_most(f"{step} at 1,000,000 queued to that at 1,000", 1.2, grown, " ×")
    table.note(
        "Jobs of kind sleep for 0 s, 64 at a time in a queue of their own; the others wait in a "
        "paused queue."
    )


def life(daemon):
    """Submits a round of jobs and lets them run: wall and CPU seconds a job, of either half."""
    job = NOTHING | {"queue": "fast"}
    daemon.call("Pause", queue="fast")
    data = wire.jobs_message([job] * ROUND)
    with daemon.connect() as connection:
        marks = [(time.perf_counter(), daemon.cpu())]
        connection.send(data)
        reply = connection.reply()
        marks.append((time.perf_counter(), daemon.cpu()))
        connection.call("Resume", queue="fast")
        connection.call("Wait", jobs=wire.all_of(reply["first"], reply["last"]))
        marks.append((time.perf_counter(), daemon.cpu()))
    submitted, ended = (
        [(after - before) / ROUND for before, after in zip(*pair)]
        for pair in (marks[:2], marks[1:])
    )
    return [*submitted, *ended]
