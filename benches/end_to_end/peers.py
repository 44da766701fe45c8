"""The other programs: which are here, and how each is started with a state of its own.

A peer that is missing is said to be missing; it never fails the run.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# How a peer is called, and how its version line begins: `ts` and `parallel` are also names of other
# programs.
KNOWN = {
    "task-spooler": (["tsp", "ts"], ["-V"], "Task Spooler"),
    "pueue": (["pueue"], ["--version"], "pueue"),
    "pueued": (["pueued"], ["--version"], "pueued"),
    "beanstalkd": (["beanstalkd"], ["-v"], "beanstalkd"),
    "GNU parallel": (["parallel"], ["--version"], "GNU parallel"),
    "xargs": (["xargs"], ["--version"], "xargs"),
    "hq": (["hq"], ["--version"], "HyperQueue"),
}
START_SECONDS = 60


class Peers:
    """What was found of them."""

    def __init__(self):
        self.programs, self.versions = {}, {}
        for name, (calls, ask, begins) in KNOWN.items():
            for call in calls:
                program = shutil.which(call)
                version = version_of(program, ask) if program else ""
                if version.lower().startswith(begins.lower()):
                    self.programs[name], self.versions[name] = program, version
                    break

    def __contains__(self, name):
        return name in self.programs

    def __getitem__(self, name):
        return self.programs[name]

    def missing(self):
        return [name for name in KNOWN if name not in self.programs]


def version_of(program, ask):
    """The first line in which a program tells its version."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        said = subprocess.run(
            [program, *ask], capture_output=True, text=True, check=False, timeout=10
        )
        return (said.stdout + said.stderr).strip().split("\n")[0]
    return ""


def folder_in(parent, name):
    """A new folder, which goes with its parent when all is over."""
    return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))


def until(true, what):
    """Waits for something that a starting daemon brings about."""
    end = time.monotonic() + START_SECONDS
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not start within {START_SECONDS} s")
        time.sleep(0.01)


@contextlib.contextmanager
def process(command, **options):
    """A daemon in the foreground, ended with its whole group."""
    options.setdefault("stdout", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.DEVNULL)
    running = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        try:
            running.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


class Spooler:
    """task-spooler; its server begins with the first call."""

    def __init__(self, program, folder):
        self.program = program
        # It forgets all but so many finished jobs; more would slow it down.
        self.environment = dict(
            os.environ, TS_SOCKET=str(folder / "socket"), TMPDIR=str(folder), TS_MAXFINISHED="10"
        )

    def call(self, *words):
        subprocess.run(
            [self.program, *words], check=True, env=self.environment, stdout=subprocess.DEVNULL
        )


@contextlib.contextmanager
def spooler(bench, slots):
    made = Spooler(bench.peers["task-spooler"], folder_in(bench.folder, "tsp"))
    made.call("-S", str(slots))
    try:
        yield made
    finally:
        # Its server's end leaves a running job behind; there may be none.
        with contextlib.suppress(subprocess.CalledProcessError):
            made.call("-k")
        made.call("-K")


class Pueue:
    """pueue and the daemon it talks to."""

    def __init__(self, program, config, folder):
        self.program, self.config, self.folder = program, str(config), folder

    def call(self, *words):
        command = [self.program, "--config", self.config, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def finished(self, count):
        """Seconds until so many jobs were added while nothing started, and then run."""
        start = time.perf_counter()
        self.call("pause")
        for _ in range(count):
            self.call("add", "--", "true")
        self.call("start")
        self.call("wait", "--quiet")
        spent = time.perf_counter() - start
        self.call("clean")
        return spent


PUEUE_CONFIG = """
shared:
  pueue_directory: {folder}
  runtime_directory: {folder}
  use_unix_socket: true
  unix_socket_path: {folder}/socket
client: {{}}
daemon: {{}}
profiles: {{}}
"""


@contextlib.contextmanager
def pueue(bench, folder, parallel):
    """A life of its daemon; what it keeps is in the folder."""
    config = folder / "pueue.yml"
    config.write_text(PUEUE_CONFIG.format(folder=folder))
    (folder / "socket").unlink(missing_ok=True)
    with process([bench.peers["pueued"], "--config", config]):
        made = Pueue(bench.peers["pueue"], config, folder)
        until((folder / "socket").exists, "pueued")
        made.call("parallel", str(parallel))
        yield made


@contextlib.contextmanager
def beanstalkd(bench, folder, *options):
    """beanstalkd on a port of its own, with its log in a folder; gives the port and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [bench.peers["beanstalkd"], "-l", "127.0.0.1", "-p", port, "-b", folder, *options]
    with process(command) as running:
        until(lambda: answers(port), "beanstalkd")
        yield port, running


def answers(port):
    """Whether beanstalkd speaks: it accepts connections long before it has read its log."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as asked:
        asked.sendall(b"list-tube-used\r\n")
        return asked.recv(100).startswith(b"USING")
    return False


class HyperQueue:
    """A server and a worker of two cores."""

    def __init__(self, program, folder):
        self.words = [program, "--server-dir", str(folder)]

    def array(self, count, *command):
        """Seconds of an array, run to its end."""
        words = [
            "submit",
            "--array",
            f"1-{count}",
            "--stdout",
            "none",
            "--stderr",
            "none",
            "--wait",
            *command,
        ]
        start = time.perf_counter()
        subprocess.run(
            [*self.words, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return time.perf_counter() - start


@contextlib.contextmanager
def hyperqueue(bench, cpus):
    folder = folder_in(bench.folder, "hq")
    made = HyperQueue(bench.peers["hq"], folder)
    with process([*made.words, "server", "start", "--host", "127.0.0.1"]):
        until(lambda: list(folder.glob("*/access.json")), "hq server")
        with process([*made.words, "worker", "start", "--cpus", cpus, "--work-dir", folder]):
            yield made
