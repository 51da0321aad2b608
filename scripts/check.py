"""`python3 scripts/check.py [--fix]`: all that is checked without running the tests, a line for each check.

Standard library only; makes `.venv` where needed. --fix lets ruff format and repair first.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # Python put scripts/ there
    sys.path[0] = str(ROOT)

from scripts import secrets_scan
from scripts.environment import EnvironmentProblem, ensure
from scripts.own_files import own_files

LIMIT_S = 300
# Put together, so that this file does not contain what it forbids.
REGISTRIES = tuple(f"{name}.org" for name in ("pypi", "pythonhosted", "npmjs", "debian"))
OUTSIDE = "../" + "shared"


class Check(NamedTuple):
    """A name, and what finds fault: no text means that all is well."""

    name: str
    find_fault: Callable[[], str]


def main() -> None:
    """Run all checks, two at a time; exit 1 when one found a fault."""
    try:
        python = ensure(tools=True)
    except EnvironmentProblem as problem:
        sys.exit(f"roleta: {problem}")
    except KeyboardInterrupt:
        sys.exit("roleta: interrupted; run this again to go on")
    if "--fix" in sys.argv[1:]:
        for words in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
            subprocess.run([python.with_name("ruff"), *words], cwd=ROOT, check=False)
    with ThreadPoolExecutor(2) as pool:
        well = list(pool.map(_report, _checks(python.parent)))
    # Last and alone: it starts a database server of its own.
    well.append(_report(_program("snapshot", [python, "-P", "-m", "scripts.migrate_snapshot", "--check"])))
    sys.exit(0 if all(well) else 1)


def _checks(programs: Path) -> list[Check]:
    # Not the folders: migrations/snapshot is generated text.
    migrations = _files("migrations/*.sql")
    sql = [*migrations, *_files("scripts/*.sql")]
    law = ["-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_import_law.py"]
    return [
        _program("types", [programs / "mypy"]),  # the longest first
        _program("sqlfluff", [programs / "sqlfluff", "lint", "--disable-progress-bar", "--nocolor", *sql]),
        _program("format", [programs / "ruff", "format", "--check", "."]),
        _program("lint", [programs / "ruff", "check", "."]),
        _program("squawk", [programs / "squawk", "--reporter", "gcc", *migrations]),
        _program("import law", [programs / "python", *law]),
        Check("texts", _forbidden_texts),
        Check("secrets", secrets_scan.fault),
    ]


def _files(pattern: str) -> list[str]:
    return sorted(str(file.relative_to(ROOT)) for file in ROOT.glob(pattern))


def _program(name: str, command: Sequence[str | Path]) -> Check:
    def find_fault() -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return "" if done.returncode == 0 else done.stdout.strip() or f"ended with {done.returncode}"

    return Check(name, find_fault)


def _report(check: Check) -> bool:
    begun = time.monotonic()
    try:
        fault = check.find_fault()
    except (OSError, subprocess.TimeoutExpired) as problem:
        fault = str(problem)
    word = "FAILED" if fault else "ok"
    sys.stdout.write(
        f"{word:7}{check.name:12}{time.monotonic() - begun:5.1f} s\n" + (f"{fault}\n" if fault else "")
    )
    sys.stdout.flush()
    return not fault


def _forbidden_texts() -> str:
    """What no file may hold: a registry's address, this machine's paths, what lies beside the clone."""
    forbidden = [*REGISTRIES, OUTSIDE, *([str(ROOT) + "/"] if len(ROOT.parts) > 2 else [])]
    faults = []
    for file in own_files(ROOT):
        text = file.read_bytes().decode(errors="replace")
        faults += [f"{file.relative_to(ROOT)} holds {word!r}" for word in forbidden if word in text]
    return "\n".join(faults)


if __name__ == "__main__":
    main()
