"""The scoreboard is complete: a marked test for every line, and every mark names a line and a tier."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scoreboard import COMMANDS, LINES, TIERS

TESTS = Path(__file__).resolve().parents[1]


def marks() -> Iterator[tuple[str, str, str]]:
    """File, line and tier of every scoreboard mark in the tests."""
    for file in sorted(TESTS.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "mark.scoreboard" not in text:
            continue  # reading all of them as Python would take every test process a second and a half
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "scoreboard":
                (line,) = [ast.literal_eval(each) for each in node.args]
                [tier] = [ast.literal_eval(each.value) for each in node.keywords if each.arg == "tier"]
                yield str(file.relative_to(TESTS)), line, tier


MARKS = list(marks())


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_shown(line: str) -> None:
    """By a test with its mark, or by a command that the scoreboard names."""
    assert line in {marked for _, marked, _ in MARKS} | set(COMMANDS)


def test_every_mark_names_a_line_and_a_tier() -> None:
    """A mistyped mark would show nothing."""
    assert [mark for mark in MARKS if mark[1] not in LINES or mark[2] not in TIERS] == []


@pytest.mark.parametrize("line", LINES)
def test_the_readme_tells_what_was_seen_of_every_line(line: str) -> None:
    """A row of its table names the line, and the test files and commands that the row names are there."""
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    [row] = re.findall(rf"^\| (?:[RS]\d+, )*{line}(?:, [RS]\d+)* \|.*$", readme, re.MULTILINE)
    for file in re.findall(r"`(tests/[a-z_/.]+)`", row):
        assert (TESTS.parent / file).exists(), file
    assert row.rstrip(" |").rpartition("|")[2].strip(), "what was seen"


@pytest.mark.parametrize(
    ("asked", "cases"),
    [
        ([], {"commit", "landing"}),
        (["--tier", "commit"], {"commit"}),
        (["--tier", "landing"], {"landing"}),
        (["--tier", "nightly"], {"landing", "nightly"}),
    ],
)
def test_a_tier_runs_its_cases_and_those_below(asked: list[str], cases: set[str]) -> None:
    """But for the small cases of what it shows at full size. What is for the night runs only where the night
    is asked for."""
    answer = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "tests/database/test_model.py",
            *asked,
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
        timeout=60,
    )
    assert set(re.findall(r"model_does\[(\w+)\]", answer.stdout)) == cases
