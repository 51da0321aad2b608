"""`python3 scripts/defects.py [--list] [--only NAME ...] [--jobs N]`: whether the tests can fail.

Each defect of scripts/defects/*.toml is planted in a copy of the tree, where the named test must fail by an
assertion; before, the same test must pass there. A line for each: caught, MISSED, or BROKEN where the entry
itself shows nothing; exit 1 unless all are caught. Standard library only; makes `.venv` where needed.
"""

from __future__ import annotations

import argparse
import queue
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # Python put scripts/ there
    sys.path[0] = str(ROOT)

from scripts.environment import EnvironmentProblem, ensure
from scripts.planting import BadTable, Copy, Defect, fault_of, read_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLES = sorted((ROOT / "scripts" / "defects").glob("*.toml"))


def main() -> None:
    """Plant, judge, tell."""
    asked = _arguments(sys.argv[1:])
    try:
        defects = _chosen(read_tables(asked.table or TABLES), asked.only)
        if asked.list:
            for defect in defects:
                _say(f"{defect.name}: {defect.function or defect.file}, {defect.test}")
            return
        python = ensure(tools=True)
        caught = _run(defects, python, max(1, min(asked.jobs, len(defects))))
    except (BadTable, EnvironmentProblem) as problem:
        sys.exit(f"roleta: {problem}")
    except KeyboardInterrupt:
        sys.exit("roleta: interrupted")
    _say(f"{caught} of {len(defects)} caught")
    sys.exit(0 if caught == len(defects) else 1)


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plants each defect in a copy; the named test must fail.")
    parser.add_argument("--list", action="store_true", help="name the defects and plant none")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="those whose name holds one of these")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="copies at work at once (2)")
    parser.add_argument(
        "--table",
        metavar="FILE",
        type=Path,
        action="append",
        help="a table beside scripts/defects/*.toml",
    )
    return parser.parse_args(given)


def _chosen(defects: list[Defect], only: Sequence[str] | None) -> list[Defect]:
    chosen = [each for each in defects if only is None or any(text in each.name for text in only)]
    if not chosen:
        raise BadTable("no defect has such a name: --list names them")
    return chosen


def _run(defects: list[Defect], python: Path, jobs: int) -> int:
    """How many were caught."""
    faults = {defect.name: fault_of(defect, ROOT) for defect in defects}
    sound = [defect for defect in defects if not faults[defect.name]]
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        for copy in pool.map(lambda _: Copy(ROOT, python), range(jobs)):
            stack.callback(copy.remove)
            copies.put(copy)

        def before(share: list[Defect]) -> dict[str, str]:
            """What is wrong with their tests where nothing is planted: all together, in one run."""
            copy = copies.get()
            verdicts = copy.run(sorted({each.test for each in share})) if share else {}
            copies.put(copy)
            return {
                each.name: f"its test fails without it: {verdicts[each.test].error}"
                for each in share
                if verdicts[each.test].error
            }

        begun = time.monotonic()
        for red in pool.map(before, [sound[at::jobs] for at in range(jobs)]):
            faults.update(red)
        tests = len({defect.test for defect in sound})
        _say(f"nothing planted yet: {tests} tests ran in {time.monotonic() - begun:.0f} s")

        def judged(defect: Defect) -> bool:
            copy = copies.get()
            try:
                return _judge(defect, faults[defect.name], copy)
            finally:
                copies.put(copy)

        return sum(pool.map(judged, defects))


def _judge(defect: Defect, fault: str, copy: Copy) -> bool:
    begun = time.monotonic()
    word = "BROKEN"
    if not fault:
        verdict = copy.judge(defect)
        if not verdict.error:
            word, fault = "MISSED", f"passes with it: {defect.test}"
        elif not verdict.is_judgement:
            fault = f"no assertion of {defect.test}: {verdict.error}"
        else:
            word, fault = "caught", defect.test
    _say(f"{word}  {defect.name}  {time.monotonic() - begun:.1f} s  {fault.splitlines()[0]}")
    return word == "caught"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
