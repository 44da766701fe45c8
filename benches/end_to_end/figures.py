"""Medians, ratios, tables and verdicts. Pure: no clock, no file, no process.

What counts is a ratio of two figures taken in the same round: the machine's mood moves both, so
that it cancels out.
"""

import dataclasses
import math


def median(values):
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values, percent):
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def ratio(samples, base):
    """The median over the rounds of one contender's figure to another's of the same round."""
    return median([own / other for own, other in zip(samples, base) if other])


def interleave(rounds, contenders):
    """Runs each contender once a round, in changing order. Gives name -> one result a round."""
    results = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            results[name].append(contenders[name]())
    return results


def short(value):
    """A figure with three digits that mean something."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


@dataclasses.dataclass
class Table:
    """Rows of figures under a title, with what a reader must know below."""

    title: str
    columns: list
    rows: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)

    def add(self, *cells):
        self.rows.append(list(cells))

    def note(self, text):
        self.notes.append(text)

    def markdown(self):
        lines = [f"### {self.title}", "", row(self.columns), row(["---"] * len(self.columns))]
        lines += [row([short(cell) for cell in cells]) for cells in self.rows]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines) + "\n"


def row(cells):
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


@dataclasses.dataclass
class Target:
    """What was promised, what was found, and whether that is enough."""

    what: str
    wanted: str
    found: float
    met: bool

    @classmethod
    def at_least(cls, what, least, found, unit=""):
        return cls(what, f">= {short(least)}{unit}", found, found >= least)

    @classmethod
    def at_most(cls, what, most, found, unit=""):
        return cls(what, f"<= {short(most)}{unit}", found, found <= most)


def verdicts(targets):
    """All targets as one table."""
    table = Table("Targets", ["what", "target", "found", "met"])
    for target in targets:
        table.add(target.what, target.wanted, target.found, "yes" if target.met else "**no**")
    return table


@dataclasses.dataclass
class Report:
    """What one section found out."""

    tables: list = dataclasses.field(default_factory=list)
    targets: list = dataclasses.field(default_factory=list)

    def table(self, title, *columns):
        made = Table(title, list(columns))
        self.tables.append(made)
        return made

    def at_least(self, *args, **kwargs):
        self.targets.append(Target.at_least(*args, **kwargs))

    def at_most(self, *args, **kwargs):
        self.targets.append(Target.at_most(*args, **kwargs))
