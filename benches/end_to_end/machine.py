"""What this machine is, and what it charges for the things everybody pays for."""

import datetime
import os
import pathlib
import platform
import shutil
import subprocess
import time

from .figures import median, percentile

TRUE = shutil.which("true") or "/bin/true"


def facts(folder):
    """Pairs of what and how, for the head of a report."""
    low, middle, high = sync_cost(folder)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": f"{len(os.sched_getaffinity(0))} × {processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "disk": f"{filesystem(folder)}; write + fdatasync of 4 KiB: "
        f"median {middle:.2f} ms, p10 {low:.2f}, p90 {high:.2f}",
        "load before": " ".join(pathlib.Path("/proc/loadavg").read_text().split()[:3]),
    }


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def filesystem(folder):
    found = subprocess.run(
        ["findmnt", "-no", "FSTYPE", "--target", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown file system"


def sync_cost(folder, times=300):
    """Milliseconds that a synced write of a page costs: p10, median, p90."""
    with SyncedFile(folder) as file:
        spent = [file.write() * 1e3 for _ in range(times)]
    return percentile(spent, 10), median(spent), percentile(spent, 90)


class SyncedFile:
    """A file that grows by a page and a sync at a time, as a log does."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "synced"
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.file)
        self.path.unlink()

    def write(self):
        """Seconds of one synced write."""
        start = time.perf_counter()
        os.write(self.file, b"x" * 4096)
        os.fdatasync(self.file)
        return time.perf_counter() - start


def spawn_true():
    """Seconds of one bare posix_spawn of `true`, its end included."""
    start = time.perf_counter()
    pid = os.posix_spawn(TRUE, [TRUE], {})
    os.waitpid(pid, 0)
    return time.perf_counter() - start


def compiled(source, folder):
    """A C program made into one that runs, or nothing where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None
    program = pathlib.Path(folder) / source.stem
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(source)], check=True)
    return program


def timed(command, **options):
    """Seconds that a command takes; it must succeed."""
    options.setdefault("stdout", subprocess.DEVNULL)
    start = time.perf_counter()
    subprocess.run(command, check=True, **options)
    return time.perf_counter() - start
