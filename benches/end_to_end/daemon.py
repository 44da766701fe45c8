"""A real twolaned of an ordinary release build, with a state directory and a socket of its own."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

from . import wire

# A daemon that has not answered by then never will.
START_SECONDS = 120


class Daemon:
    """A daemon process and what is known of it from outside."""

    def __init__(self, programs, folder, config=""):
        self.programs = pathlib.Path(programs).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twolane-", dir=folder))
        self.socket = self.folder / "socket"
        self.config = self.folder / "config.toml"
        self.config.write_text(config)
        # What the bench's own shell carries is no part of any job.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TWOLANE_SOCKET": str(self.socket),
        }
        self.process = None

    def start(self):
        """Starts it. Gives the seconds until it answered for the first time."""
        command = [self.programs / "twolaned", "--config", self.config]
        command += ["--state-dir", self.folder / "state", "--socket", self.socket]
        start = time.perf_counter()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, cwd=self.folder
            )
        while time.perf_counter() - start < START_SECONDS:
            with contextlib.suppress(OSError):
                with self.connect() as connection:
                    connection.call("Status")
                    return time.perf_counter() - start
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        raise RuntimeError(f"twolaned did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def kill(self):
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends it if it runs. Its files go with the bench's own folder: the kernel passes over
        inodes freed in the last seconds one by one, and the next contender would pay for that."""
        if self.process and self.process.poll() is None:
            self.kill()

    def connect(self):
        return wire.Connection(self.socket)

    def call(self, method, **parameters):
        """One call on a connection of its own."""
        with self.connect() as connection:
            return connection.call(method, **parameters)

    def cli(self, *words, **options):
        """Runs the command line. Gives what it printed."""
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run(self.command(*words), check=True, env=self.environment, **options)
        return done.stdout

    def command(self, *words):
        return [str(self.programs / "twolane"), "--no-start", *map(str, words)]

    def memory(self):
        """Resident bytes."""
        return resident(self.process.pid)

    def cpu(self):
        """CPU seconds of the daemon alone, without its children."""
        return self.call("Stats")["daemon_cpu_seconds"]

    def wait_all(self, first, last):
        """Waits until jobs are final."""
        self.call("Wait", jobs=wire.all_of(first, last))


def resident(pid):
    """Resident bytes of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def running(bench, config=""):
    """A daemon that lives for a while."""
    daemon = Daemon(bench.programs, bench.folder, config)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.end()


def submit(connection, jobs, **parameters):
    """Submits a batch. Gives its first and last id."""
    reply = connection.call("Submit", jobs=jobs, **parameters)
    return reply["first"], reply["last"]


def submit_array(connection, job, count):
    """Submits so many of one job, as one array if the daemon takes it, else as several. Gives the
    first and the last id and how many calls it took."""
    try:
        first, last = submit(connection, [job], array={"first": 1, "last": count})
        return first, last, 1
    except wire.Refused:
        part = 100_000
    spans = [
        submit(connection, [job], array={"first": 1, "last": part}) for _ in range(count // part)
    ]
    return spans[0][0], spans[-1][1], len(spans)
