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
# What is waited for and what waits meanwhile: jobs inside the daemon, so that its own cost shows.
NOTHING = {"kind": "sleep", "params": {"for": "0s"}, "class": "io"}
ROUND = 10_000
FEW = 1_000


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
        f"One process a job; {ADDS} jobs or what was done in {ADD_SECONDS} s. An empty field "
        "was not tried: tsp hangs beyond some 990 jobs, pueue would take hours. pueue was filled "
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
        fill(self.daemon, count, {"argv": ["/bin/true"]})


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
        self.folder = peers.folder_in(self.bench.folder, "pueue")
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


def fill(daemon, count, job):
    """Queues so many of one job; very many of them as arrays, which takes no minute."""
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
        piles = [Pile(shallow, FEW), Pile(deep, HUGE)]
        contenders = {f"at {pile.depth:,}": pile.life for pile in piles}
        for live in contenders.values():
            live()
        results = figures.interleave(rounds, contenders)
    few, huge = contenders
    table = report.table(
        "In-process jobs with other jobs queued, per job",
        "step",
        f"{few}, µs",
        f"{huge}, µs",
        "ratio",
    )
    for step in results[few][0]:
        times = {name: [1e6 * life[step] for life in lives] for name, lives in results.items()}
        grown = figures.ratio(times[huge], times[few])
        table.add(step, figures.median(times[few]), figures.median(times[huge]), grown)
        if "CPU" in step:
            report.at_most(f"{step} at {HUGE:,} queued to that at {FEW:,}", 1.2, grown, " ×")
    table.note(
        f"Jobs of kind sleep for 0 s, 64 at a time: {ROUND:,} new ones in a queue of their own "
        f"while the others wait in a paused queue, then the {FEW // 2} that waited longest."
    )


class Pile:
    """A daemon with many jobs in a paused queue, and a second queue where jobs come and go."""

    def __init__(self, daemon, depth):
        self.daemon, self.depth = daemon, depth
        for queue in ("default", "fast"):
            daemon.call("SetQueue", queue=queue, max=64)
            daemon.call("Pause", queue=queue)
        fill(daemon, depth, NOTHING)

    def life(self):
        """Seconds a job of every step: of new jobs, then of those that waited longest."""
        data = wire.jobs_message([NOTHING | {"queue": "fast"}] * ROUND)
        with self.daemon.connect() as connection:
            began = Mark(connection)
            connection.send(data)
            new = connection.reply()
            submitted = Mark(connection)
            drain(connection, "fast", new["first"], new["last"])
            ended = Mark(connection)
            oldest = self.oldest(connection)
            before = Mark(connection)
            drain(connection, "default", *oldest)
            after = Mark(connection)
        # More than those went before the queue was paused again.
        fill(self.daemon, after.ended - before.ended, NOTHING)
        return (
            submitted.since(began, "submit", ROUND)
            | ended.since(submitted, "start and finish", ROUND)
            | after.since(before, "start and finish of the oldest", after.ended - before.ended)
        )

    def oldest(self, connection):
        """The first and the last id of those that wait longest."""
        waiting = {"queues": ["default"], "states": ["queued"]}
        jobs = connection.call("List", jobs=waiting, limit=FEW // 2)["jobs"]
        return jobs[0]["id"], jobs[-1]["id"]


class Mark:
    """The clocks and the count of ended jobs at a moment."""

    def __init__(self, connection):
        stats = connection.call("Stats")
        self.wall, self.cpu = time.perf_counter(), stats["daemon_cpu_seconds"]
        self.ended = stats["succeeded"]

    def since(self, earlier, step, jobs):
        """Seconds a job from an earlier mark to this one."""
        return {
            f"{step}, wall": (self.wall - earlier.wall) / jobs,
            f"{step}, daemon's CPU": (self.cpu - earlier.cpu) / jobs,
        }


def drain(connection, queue, first, last):
    """Lets a queue go until these jobs are final."""
    connection.call("Resume", queue=queue)
    connection.call("Wait", jobs=wire.all_of(first, last))
    connection.call("Pause", queue=queue)
