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
    depths = [*(DEPTHS[:2] if bench.quick else DEPTHS), HUGE]
    with contextlib.ExitStack() as stack:
        queues = [stack.enter_context(Twolane(bench))]
        if "pueue" in bench.peers:
            queues.append(stack.enter_context(Pueue(bench)))
        if "task-spooler" in bench.peers:
            queues.append(stack.enter_context(Spooler(bench)))
        rates = {queue.name: {} for queue in queues}
        for depth in depths:
            for queue in (queue for queue in queues if depth <= queue.deepest):
                queue.fill(depth - queue.there)
                queue.there = max(depth, queue.there)
                rates[queue.name][depth] = rate(queue)
                bench.say(f"{queue.name} at {depth:,}: {rates[queue.name][depth]:.0f}/s")
    table = report.table(
        f"{ADDS} jobs added by the command line, jobs/s by depth of the queue",
        "contender",
        *[f"{depth:,}" for depth in depths],
    )
    for name, found in rates.items():
        table.add(name, *[found.get(depth) for depth in depths])
    table.note(
        f"One process a job; {ADDS} jobs or what was done in {ADD_SECONDS} s. An empty field was not "
        f"tried: tsp hangs beyond some {SPOOLER_MOST} jobs, pueue would take hours. pueue was filled "
        "through its state file."
    )
    ours = rates["twolane submit"]
    for depth in (depths[-2], HUGE):
        what = f"time of a submit by the command line at {depth:,} queued to that at none"
        report.at_most(what, 1.2, ours[0] / ours[depth], " ×")


def rate(queue):
    """Jobs added a second."""
    start = time.perf_counter()
    for done in range(1, ADDS + 1):
        queue.add()
        queue.there += 1
        if time.perf_counter() - start > ADD_SECONDS:
            break
    return done / (time.perf_counter() - start)


class Queue(contextlib.ExitStack):
    """A paused queue that jobs are added to by its own command line."""

    name = ""
    # Beyond so many jobs nothing is tried.
    deepest = HUGE

    def __init__(self, bench):
        super().__init__()
        self.bench = bench
        self.there = 0

    def add(self):
        """Adds a job."""

    def fill(self, count):
        """Adds so many at once, as fast as can be."""


class Twolane(Queue):
    """Ours."""

    name = "twolane submit"

    def __enter__(self):
        self.daemon = self.enter_context(running(self.bench))
        self.daemon.call("Pause", queue="default")
        self.command = self.daemon.command("submit", "--", "/bin/true")
        return self

    def add(self):
        timed(self.command, env=self.daemon.environment)

    def fill(self, count):
        fill(self.daemon, count)


class Spooler(Queue):
    """task-spooler, with one slot that is taken."""

    name = "tsp"
    deepest = 0

    def __enter__(self):
        self.spooler = self.enter_context(peers.spooler(self.bench, 1))
        self.spooler.call("-n", "sleep", "1000")
        return self

    def add(self):
        self.spooler.call("-n", "/bin/true")


class Pueue(Queue):
    """pueue; its queue is made deep between two lives of its daemon."""

    name = "pueue add"
    deepest = DEPTHS[-1]

    def __enter__(self):
        self.folder = self.enter_context(peers.folder_in(self.bench.folder, "pueue"))
        self.life = self.enter_context(contextlib.ExitStack())
        self.begin()
        self.pueue.call("pause")
        return self

    def begin(self):
        self.pueue = self.life.enter_context(peers.pueue(self.bench, self.folder, 1))

    def add(self):
        self.pueue.call("add", "--", "true")

    def fill(self, count):
        if count <= 0:
            return
        self.life.close()
        state = self.folder / "state.json"
        known = json.loads(state.read_text())
        multiply(known["tasks"], count)
        state.write_text(json.dumps(known))
        self.begin()


def multiply(tasks, count):
    """Copies the last task so many times, under ids of their own."""
    last = max(map(int, tasks))
    for new in range(last + 1, last + 1 + count):
        tasks[str(new)] = tasks[str(last)] | {"id": new}


def fill(daemon, count):
    """Queues so many single jobs; many of them as arrays, which takes no minute."""
    job = {"argv": ["/bin/true"]}
    with daemon.connect() as connection:
        if count > 100_000:
            submit_array(connection, job, count // 100_000 * 100_000)
            count %= 100_000
        while count > 0:
            submit(connection, [job] * min(count, 10_000))
            count -= 10_000


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
