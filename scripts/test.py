"""`python3 scripts/test.py [--quick] [pytest's arguments]`: the whole suite on disposable databases.

Everything takes an hour on two cores. --quick leaves out the tests marked slow (ten minutes); --tier commit
runs only what shows a line of the scoreboard (tests/scoreboard.py) within 90 s, --tier landing within 10
minutes, --tier nightly within an hour, with the largest cases, which nothing else runs.
--random-order [--seed S] shuffles modules, and tests within them; --repeat N does it all N times, with the
seeds S, S+1 ..., and ends with how many runs passed.
Standard library only; makes `.venv` where needed, then becomes pytest, whose last line is the last line.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # Python put scripts/ there
    sys.path[0] = str(ROOT)

from scripts.environment import EnvironmentProblem, ensure

# On two cores: quick tests wait a lot, those of a tier now and then; slow ones measure and kill, and need the
# machine to themselves.
WORKERS = {"quick": "4", "tier": "3", "all": "2"}


def pytest_arguments(given: list[str]) -> list[str]:
    """What pytest is called with: several processes, unless single tests or another number are asked for."""
    rest = [argument for argument in given if argument != "--quick"]
    chosen = any(
        word.startswith(("-n", "--numprocesses", "--pdb")) or (ROOT / _file_of(word)).exists()
        for word in rest
    )
    is_quick, is_tier = "--quick" in given, any(word.startswith("--tier") for word in given)
    workers = WORKERS["quick" if is_quick else "tier" if is_tier else "all"]
    parallel = [] if chosen else ["-n", workers, "--dist", "loadgroup", "--no-loadscope-reorder"]
    quick = ["-m", "not slow"] if is_quick else []
    return [*parallel, *quick, *rest]


def _file_of(word: str) -> str:
    return word.partition("::")[0] or "-"


def main() -> None:
    """Replace this process by pytest, run from the repository's root; or run it several times."""
    own, rest = own_arguments(sys.argv[1:])
    try:
        python = ensure(tools=True)
    except EnvironmentProblem as problem:
        sys.exit(f"roleta: {problem}")
    except KeyboardInterrupt:
        sys.exit("roleta: interrupted; run this again to go on")
    os.chdir(ROOT)
    sys.stdout.flush()
    command = [str(python), "-P", "-m", "pytest", *pytest_arguments(rest)]
    seeds = [own.seed + turn for turn in range(own.repeat)]
    if own.repeat == 1:
        os.execv(python, [*command, *_order(own, seeds[0])])  # noqa: S606
    failed = []
    for turn, seed in enumerate(seeds, 1):
        order = _order(own, seed)
        sys.stdout.write(f"run {turn} of {own.repeat}{f', seed {seed}' if order else ''}\n")
        sys.stdout.flush()
        try:
            if subprocess.run([*command, *order], check=False).returncode != 0:
                failed.append(f"{turn} (seed {seed})" if order else str(turn))
        except KeyboardInterrupt:
            sys.exit(f"roleta: interrupted in run {turn}")
    sys.stdout.write(f"{own.repeat - len(failed)} of {own.repeat} runs passed\n")
    if failed:
        sys.exit(f"roleta: failed were runs {', '.join(failed)}")


def own_arguments(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What is ours, and what is pytest's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--random-order", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--repeat", type=int, default=1)
    own, rest = parser.parse_known_args(given)
    if own.repeat < 1 or (own.seed is not None and not own.random_order):
        parser.error("--repeat takes 1 or more, and --seed comes with --random-order")
    if own.seed is None:
        own.seed = random.randrange(10_000)  # noqa: S311 - an order, not a secret
    return own, rest


def _order(own: argparse.Namespace, seed: int) -> list[str]:
    """The plugin is there and off (pyproject.toml) unless it is asked for."""
    return ["-p", "randomly", f"--randomly-seed={seed}"] if own.random_order else []


if __name__ == "__main__":
    main()
