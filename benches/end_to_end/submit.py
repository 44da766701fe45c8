"""Durable submit: how many jobs a second are accepted, each acknowledged only when synced."""

import time

from . import figures, peers, wire
from .daemon import running

# Of no importance for a submit; the queue is paused, so that only accepting is measured.
JOB = {"argv": ["/bin/true"]}
BATCH = 10_000
CLIENTS = 64


def run(bench):
    report = figures.Report()
    batches = 3 if bench.quick else 10
    calls = 4_000 if bench.quick else 20_000
    rounds = 3 if bench.quick else 5
    with running(bench) as daemon:
        daemon.call("Pause", queue="default")
        spent = Spent(daemon)
        contenders = {
            f"twolane, batches of {BATCH:,} over one connection": lambda: spent.on(
                batched, daemon, batches
            ),
            f"twolane, {CLIENTS} clients, one job a call": lambda: spent.on(chatted, daemon, calls),
            "twolane, 1 client, one job a call": lambda: spent.on(alone, daemon, calls // 20),
        }
        if "beanstalkd" in bench.peers:
            folder = peers.folder_in(bench.folder, "beanstalkd")
            with peers.beanstalkd(bench, folder, "-f0") as (port, _):
                contenders |= against(port, calls)
                results = figures.interleave(rounds, contenders)
        else:
            results = figures.interleave(rounds, contenders)
        per_commit = daemon.call("Stats")["jobs_per_commit"]
    tell(report, contenders, results, per_commit)
    return report


def against(port, calls):
    """beanstalkd with a sync for each job."""

    def chat():
        chatter = wire.Chatter(lambda: wire.socket.create_connection(("127.0.0.1", port)), CLIENTS)
        try:
            return calls / 4 / chatter.run(
                wire.put(b"/bin/true"), b"\r\n", b"INSERTED", calls // 4
            ), 0
        finally:
            chatter.close()

    return {
        "beanstalkd -f0, one connection, pipelined": lambda: (
            calls / 4 / wire.pipelined_puts(port, b"/bin/true", calls // 4),
            0,
        ),
        f"beanstalkd -f0, {CLIENTS} clients": chat,
    }


class Spent:
    """Tells a rate together with the daemon's CPU a job."""

    def __init__(self, daemon):
        self.daemon = daemon

    def on(self, work, daemon, amount):
        before = self.daemon.cpu()
        jobs, seconds = work(daemon, amount)
        return jobs / seconds, (self.daemon.cpu() - before) / jobs * 1e6


def batched(daemon, batches):
    data = wire.jobs_message([JOB] * BATCH)
    with daemon.connect() as connection:
        start = time.perf_counter()
        # The next one is on its way while one is committed, as of a client with many to submit.
        connection.send(data)
        for _ in range(batches - 1):
            connection.send(data)
            connection.reply()
        connection.reply()
        return batches * BATCH, time.perf_counter() - start


def chatted(daemon, calls):
    chatter = wire.Chatter(lambda: daemon.connect().socket, CLIENTS)
    try:
        return calls, chatter.run(wire.jobs_message([JOB]), b"\0", b'{"parameters"', calls)
    finally:
        chatter.close()


def alone(daemon, calls):
    data = wire.jobs_message([JOB])
    with daemon.connect() as connection:
        start = time.perf_counter()
        for _ in range(calls):
            connection.send(data)
            connection.reply()
        return calls, time.perf_counter() - start


def tell(report, contenders, results, per_commit):
    table = report.table(
        "Durable submit", "contender", "jobs/s", "daemon's CPU, µs a job", "to beanstalkd -f0"
    )
    rates = {name: [rate for rate, _ in results[name]] for name in contenders}
    base = next(
        (rates[name] for name in contenders if "clients" in name and "beanstalkd" in name), []
    )
    for name in contenders:
        cpu = figures.median([cpu for _, cpu in results[name]])
        table.add(
            name,
            figures.median(rates[name]),
            cpu or "",
            figures.ratio(rates[name], base) if base else "",
        )
    table.note(
        f"Over the whole section one commit took {figures.short(per_commit)} jobs. The clients are "
        "one loop of this Python process, which takes its share of the same cores."
    )
    many, one = list(contenders)[:2]
    report.at_least(
        "durable submit, batches over one connection",
        100_000,
        figures.median(rates[many]),
        " jobs/s",
    )
    report.at_least(
        "durable submit, 64 clients, one job a call", 20_000, figures.median(rates[one]), " jobs/s"
    )
