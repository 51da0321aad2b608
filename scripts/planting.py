"""Planted defects: the tables that name them, a copy of the tree to plant them in, and how a test judges.

Standard library only; the command is defects.py, what is planted stands in defects/*.toml.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.own_files import own_files

if TYPE_CHECKING:
    from collections.abc import Sequence

# For one run, and for each of its tests: a loaded machine is no reason to call a defect missed.
TIMEOUT_S, TIMEOUT_EACH_S = 120, 60
FIELDS = ({"file", "old", "new", "test"}, {"function", "old", "new", "test"})
_FUNCTION = re.compile(r"create (?:or replace )?function ([a-z_.]+)\(", re.I)
# What would make an inner pytest take itself for the outer one, or read another tree's modules.
_FOREIGN = ("PYTEST_", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")


class Defect(NamedTuple):
    """One change in one place, and the test that must fail by it.

    The place is a file, or a SQL function: then its text in the newest migration that makes it.
    """

    name: str
    old: str
    new: str
    test: str
    file: str = ""
    function: str = ""


class Place(NamedTuple):
    """Where a defect belongs: a part of a file, from one position to another."""

    file: Path
    text: str
    begins: int
    ends: int

    @property
    def part(self) -> str:
        """The text that may hold the defect's old text."""
        return self.text[self.begins : self.ends]

    def planted(self, defect: Defect) -> str:
        """The whole file with the defect in it."""
        return self.text[: self.begins] + self.part.replace(defect.old, defect.new) + self.text[self.ends :]


class Verdict(NamedTuple):
    """How one test ended: `error` is empty where it passed; `is_judgement` where an assertion or the database
    objected, rather than a test that could not run."""

    error: str
    is_judgement: bool


class BadTable(Exception):
    """A table of defects that cannot be read; the text says where."""


def read_tables(files: Sequence[Path]) -> list[Defect]:
    """Every defect of these tables, in their order."""
    found: dict[str, Defect] = {}
    for file in files:
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as problem:
            raise BadTable(f"{file.name}: {problem}") from None
        for name, fields in table.items():
            if not isinstance(fields, dict) or set(fields) not in FIELDS or name in found:
                raise BadTable(f"{file.name}: {name!r} needs file or function, old, new and test, once")
            found[name] = Defect(name, **fields)
    return list(found.values())


def place_of(defect: Defect, root: Path) -> Place | None:
    """Where it is to be planted in this tree; None where there is no such file or function."""
    if not defect.function:
        file = root / defect.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        return Place(file, text, 0, len(text)) if text else None
    for file in reversed(migrations(root / "migrations")):
        text = file.read_text(encoding="utf-8")
        made = [match for match in _FUNCTION.finditer(text) if match[1] == defect.function]
        if made:
            ends = text.find("\n$$;", made[-1].end())
            return Place(file, text, made[-1].start(), ends if ends > 0 else len(text))
    return None


def migrations(folder: Path) -> list[Path]:
    """The files of a folder that lead forward, in order."""
    return sorted(each for each in folder.glob("*.sql") if not each.name.endswith(".rollback.sql"))


def fault_of(defect: Defect, root: Path) -> str:
    """Why this entry shows nothing, as far as its texts tell; empty where nothing is wrong with it."""
    place = place_of(defect, root)
    if place is None:
        return f"there is no {defect.function or defect.file}"
    count = place.part.count(defect.old)
    if count != 1:
        return f"its old text occurs {count} times in {defect.function or defect.file} ({place.file.name})"
    if defect.old == defect.new:
        return "it changes nothing"
    if later := _replaced_in(place.file, place.text.index(defect.old, place.begins), place.text):
        return f"not in force: {later} replaces that function"
    return _no_such_test(defect.test, root)


def _replaced_in(file: Path, position: int, text: str) -> str:
    """The later migration that defines the function around this position again."""
    if file.parent.name != "migrations":
        return ""
    begun = [match for match in _FUNCTION.finditer(text, 0, position)]
    if not begun or re.search(r"^\$(function)?\$;?$", text[begun[-1].end() : position], re.M):
        return ""  # between functions: were it not in force, its test would not fail
    again = re.compile(rf"create (or replace )?function {re.escape(begun[-1][1])}\(", re.I)
    later = (
        each.name
        for each in reversed(migrations(file.parent))
        if each.name > file.name
        if again.search(each.read_text(encoding="utf-8"))
    )
    return next(later, "")


def _no_such_test(test: str, root: Path) -> str:
    file, _, name = test.partition("::")
    function = re.escape(name.partition("[")[0])
    if (root / file).is_file() and re.search(
        rf"^def {function}\(", (root / file).read_text(encoding="utf-8"), re.M
    ):
        return ""
    return f"there is no test {test}"


class Copy:
    """A copy of the tree in a folder of its own, where defects are planted one after the other."""

    def __init__(self, root: Path, python: Path) -> None:
        self._python = python
        self.folder = Path(tempfile.mkdtemp(prefix="roleta-defects-"))
        self.folder.chmod(0o755)
        self._stamp = 1_000_000_000
        for file in own_files(root):
            target = self.folder / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target, follow_symlinks=False)

    def remove(self) -> None:
        """Away with it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def judge(self, defect: Defect) -> Verdict:
        """Plant it, run its test, take it out again."""
        place = place_of(defect, self.folder)
        assert place is not None, "fault_of would have said so"  # noqa: S101
        self._write(place.file, place.planted(defect))
        try:
            return self.run([defect.test])[defect.test]
        finally:
            self._write(place.file, place.text)

    def run(self, tests: Sequence[str]) -> dict[str, Verdict]:
        """How these tests end here; a test of many parameters by the first of them that fails."""
        report = self.folder / "witness.jsonl"
        report.unlink(missing_ok=True)
        command: list[str | Path] = [self._python, "-P", "-m", "pytest", "-q", "--tb=no"]
        command += ["-p", "no:cacheprovider", "-p", "scripts.defect_witness", f"--witness={report}", *tests]
        if len(tests) == 1:
            command.append("-x")  # one failure of many parameters is enough
        said = self._finish(command, TIMEOUT_S + TIMEOUT_EACH_S * len(tests))
        lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
        return {test: _verdict(test, [json.loads(line) for line in lines], said) for test in tests}

    def _finish(self, command: Sequence[str | Path], timeout_s: float) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        with subprocess.Popen(
            command,
            cwd=self.folder,
            # Before the installed roleta, which is the tree that this one was copied from; for children too.
            env={**environment, "PYTHONPATH": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                return process.communicate(timeout=timeout_s)[0]
            except BaseException as problem:
                # Asked first, since it has servers to stop; then made to.
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(problem, subprocess.TimeoutExpired):
                    return f"no end within {timeout_s:.0f} s"
                raise

    def _write(self, file: Path, text: str) -> None:
        file.write_text(text, encoding="utf-8")
        # Byte code is believed by time and size: two versions of one size within a second would look alike.
        self._stamp += 10
        os.utime(file, (self._stamp, self._stamp))


def _verdict(test: str, lines: list[dict[str, Any]], said: str) -> Verdict:
    mine = [line for line in lines if line["test"] == test or line["test"].startswith(f"{test}[")]
    failed = [line for line in mine if line["error"]]
    if failed:
        first = failed[0]
        return Verdict(first["error"], first["is_judgement"] and first["when"] == "call")
    if any(line["when"] == "call" for line in mine):
        return Verdict("", True)
    reasons = [line["error"] for line in lines if line["when"] == "collect"] or said.splitlines()[-1:]
    return Verdict(f"it did not run: {(reasons or ['nothing was said'])[0]}", False)
