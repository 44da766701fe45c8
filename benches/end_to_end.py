#!/usr/bin/env python3
"""Measures twolane from end to end: a release build, a real daemon, a real socket, and its peers
where they are installed, interleaved in the same run.

    cargo build --release && benches/end_to_end.py [--section NAME]... [--quick] [--json]

Prints Markdown, or JSON; what goes on is told on standard error. Needs Python 3 and nothing else.
"""

import argparse
import dataclasses
import importlib
import json
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

from end_to_end import figures, machine
from end_to_end.peers import Peers

ROOT = pathlib.Path(__file__).resolve().parent.parent
# In the order in which they run; the first line of each module of end_to_end says what it asks.
SECTIONS = ["submit", "growth", "million", "small", "single", "waiting", "requests", "answers"]


class Bench:
    """What every section is given."""

    def __init__(self, programs, folder, quick):
        self.root, self.programs, self.folder, self.quick = ROOT, programs, folder, quick
        self.peers = Peers()

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)


def main():
    wishes = arguments()
    # The daemons of a run that is ended are ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by TERM"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if not (wishes.programs / "twolaned").exists():
        sys.exit(
            f"no twolaned in {wishes.programs}: run `cargo build --release` first, "
            "or name its folder with --programs"
        )
    with tempfile.TemporaryDirectory(prefix="end-to-end-", dir=wishes.dir) as folder:
        bench = Bench(wishes.programs, pathlib.Path(folder), wishes.quick)
        facts = machine.facts(folder) | versions(bench)
        reports = {name: measured(bench, name) for name in wishes.section or SECTIONS}
        # Before the folder is removed, which takes a while.
        if wishes.json:
            print(json.dumps(as_data(facts, reports), indent=1), flush=True)
        else:
            print(as_markdown(facts, reports), flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--section",
        action="append",
        choices=SECTIONS,
        help="only this one; may be given several times",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds and smaller numbers, to see that all works",
    )
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument(
        "--programs",
        type=pathlib.Path,
        default=ROOT / "target/release",
        help="where twolane and twolaned are",
    )
    parser.add_argument(
        "--dir", help="where state directories are made: on the disk to be measured, not a tmpfs"
    )
    return parser.parse_args()


def measured(bench, name):
    """One section's report. A section that breaks is told as broken; the others still run."""
    print(f"{name} …", file=sys.stderr, flush=True)
    start = time.perf_counter()
    section = importlib.import_module(f"end_to_end.{name}")
    try:
        report = section.run(bench)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        report = figures.Report()
        report.table(f"{name}: broken", "why").add(f"{type(error).__name__}: {error}")
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return report


def versions(bench):
    """What was measured."""
    told = subprocess.run(
        [bench.programs / "twolane", "--version"], capture_output=True, text=True, check=True
    )
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {"twolane": f"{told.stdout.strip()} ({commit.stdout.strip() or 'no git'})"}
    found["peers"] = "; ".join(bench.peers.versions.values()) or "none"
    found["peers missing"] = ", ".join(bench.peers.missing()) or "none"
    return found


def as_markdown(facts, reports):
    parts = ["\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n"]
    parts += [table.markdown() for report in reports.values() for table in report.tables]
    parts.append(
        figures.verdicts(
            [target for report in reports.values() for target in report.targets]
        ).markdown()
    )
    return "\n".join(parts)


def as_data(facts, reports):
    return {
        "machine": facts,
        "sections": {name: dataclasses.asdict(report) for name, report in reports.items()},
    }


if __name__ == "__main__":
    main()
