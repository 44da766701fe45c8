#!/usr/bin/env python3
"""Tests of the parts that need no daemon."""

import json
import math
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from end_to_end import figures, growth, peers, single, wire  # noqa: E402


class Figures(unittest.TestCase):
    def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(self):
        self.assertEqual(figures.median([4, 1, 3, 2]), 2.5)
        self.assertEqual(figures.median([9, 1, 5]), 5)
        self.assertTrue(math.isnan(figures.median([])))

    def test_a_percentile_is_one_of_the_values(self):
        values = list(range(1, 101))
        self.assertEqual(figures.percentile(values, 99), 99)
        self.assertEqual(figures.percentile(values, 1), 1)
        self.assertEqual(figures.percentile([7], 99), 7)

    def test_a_ratio_compares_within_each_round(self):
        # The second round ran on a machine half as fast; the ratio does not notice.
        self.assertEqual(figures.ratio([200, 100, 202], [100, 50, 101]), 2)

    def test_contenders_take_turns_and_no_one_is_always_first(self):
        order = []
        contenders = {name: lambda name=name: order.append(name) or name for name in "abc"}
        results = figures.interleave(3, contenders)
        self.assertEqual("".join(order), "abcbcacab")
        self.assertEqual(results, {"a": ["a"] * 3, "b": ["b"] * 3, "c": ["c"] * 3})

    def test_figures_are_told_with_the_digits_that_mean_something(self):
        told = [figures.short(value) for value in (123456.7, 12.34, 1.234, 0.0031, 5.0, math.nan)]
        self.assertEqual(told, ["123,457", "12.3", "1.23", "0.0031", "5", "-"])
        self.assertEqual(
            [figures.short(value) for value in (None, "text", True)], ["", "text", "yes"]
        )

    def test_a_table_is_markdown_with_its_notes_below(self):
        table = figures.Table("Speed", ["who", "jobs/s"])
        table.add("twolane", 1234.5)
        table.note("On a quiet machine.")
        lines = table.markdown().splitlines()
        self.assertEqual(lines[2:5], ["| who | jobs/s |", "| --- | --- |", "| twolane | 1,234 |"])
        self.assertEqual(lines[-1], "On a quiet machine.")

    def test_a_target_knows_which_side_is_good(self):
        report = figures.Report()
        report.at_least("speed", 100, 99, " jobs/s")
        report.at_most("memory", 150, 89, " MB")
        self.assertEqual([target.met for target in report.targets], [False, True])
        self.assertIn(
            "| speed | >= 100 jobs/s | 99 | **no** |", figures.verdicts(report.targets).markdown()
        )

    def test_a_target_that_could_not_be_measured_is_not_met(self):
        report = figures.Report()
        report.at_most("memory", 150, math.nan)
        self.assertFalse(report.targets[0].met)


class Wire(unittest.TestCase):
    def test_a_call_is_json_that_ends_with_nul(self):
        data = wire.jobs_message([{"argv": ["true"]}], dry_run=True)
        self.assertTrue(data.endswith(b"\0"))
        call = json.loads(data[:-1])
        self.assertEqual(call["method"], "io.twolane.Scheduler.Submit")
        self.assertEqual(call["parameters"], {"jobs": [{"argv": ["true"]}], "dry_run": True})
        self.assertNotIn("more", call)

    def test_a_put_tells_its_length(self):
        self.assertEqual(wire.put(b"abc"), b"put 0 0 600 3\r\nabc\r\n")


class Sections(unittest.TestCase):
    def test_moments_of_the_record_are_told_apart_in_milliseconds(self):
        self.assertAlmostEqual(
            single.since("2026-11-25T07:59:59.999000Z", "2026-11-25T08:00:00.001500Z"), 2.5, 6
        )

    def test_a_pueue_is_filled_with_copies_under_new_ids(self):
        tasks = {"0": {"id": 0, "command": "true"}}
        growth.multiply(tasks, 3)
        self.assertEqual([task["id"] for task in tasks.values()], [0, 1, 2, 3])
        self.assertEqual(set(tasks), {"0", "1", "2", "3"})


class Peers(unittest.TestCase):
    def test_a_program_that_is_not_there_has_no_version(self):
        self.assertEqual(peers.version_of("/nonexistent/program", ["--version"]), "")


if __name__ == "__main__":
    unittest.main()
