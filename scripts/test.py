"""`python3 scripts/test.py [--quick] [pytest's arguments]`: the whole suite on disposable databases.

--quick leaves out the tests marked slow (90 s at most instead of 20 minutes); --tier commit runs only what
shows a line of the scoreboard (tests/scoreboard.py) within 90 s, --tier landing within 10 minutes.
Standard library only; makes `.venv` where needed, then becomes pytest, whose last line is the last line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # Python put scripts/ there
    sys.path[0] = str(ROOT)

from scripts.environment import EnvironmentProblem, ensure

# On two cores: quick tests wait a lot; slow ones measure and kill, and need the machine to themselves.
WORKERS = {"quick": "4", "all": "2"}


def pytest_arguments(given: list[str]) -> list[str]:
    """What pytest is called with: several processes, unless single tests or another number are asked for."""
    rest = [argument for argument in given if argument != "--quick"]
    chosen = any(
        word.startswith(("-n", "--numprocesses", "--pdb")) or (ROOT / _file_of(word)).exists()
        for word in rest
    )
    is_quick = "--quick" in given
    workers = WORKERS["quick" if is_quick else "all"]
    parallel = [] if chosen else ["-n", workers, "--dist", "loadgroup"]
    quick = ["-m", "not slow"] if is_quick else []
    return [*parallel, *quick, *rest]


def _file_of(word: str) -> str:
    return word.partition("::")[0] or "-"


def main() -> None:
    """Replace this process by pytest, run from the repository's root."""
    try:
        python = ensure(tools=True)
    except EnvironmentProblem as problem:
        sys.exit(f"roleta: {problem}")
    except KeyboardInterrupt:
        sys.exit("roleta: interrupted; run this again to go on")
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(python, [str(python), "-P", "-m", "pytest", *pytest_arguments(sys.argv[1:])])  # noqa: S606


if __name__ == "__main__":
    main()
