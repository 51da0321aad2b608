"""Compiles every test once before several processes want to: with pytest's rewritten assertions that takes
8 s, which each process of a cold run would spend again (a fresh clone has no byte code at all).

It uses private names of pytest's, whose version is locked; were they gone, it would fail at once.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from _pytest.assertion import AssertionState, rewrite

AT_ONCE = 2
# For the processes that compile: they are forked, since a configuration cannot be sent.
_given: list[pytest.Config] = []


def is_stale(file: Path) -> bool:
    """Whether no byte code of this very text lies where pytest looks for it."""
    return rewrite._read_pyc(file, _compiled(file)) is None


def compile_all(config: pytest.Config, folder: Path) -> int:
    """Compile what is stale below this folder, two files at once; how many there were."""
    names = ("test_*.py", "conftest.py")  # what pytest rewrites
    stale = [file for name in names for file in sorted(folder.rglob(name)) if is_stale(file)]
    if stale:
        _given[:] = [config]
        with ProcessPoolExecutor(AT_ONCE, get_context("fork")) as pool:
            list(pool.map(_compile, stale, chunksize=4))
    return len(stale)


def _compile(file: Path) -> None:
    source, code = rewrite._rewrite_test(file, _given[0])
    target = _compiled(file)
    rewrite.try_makedirs(target.parent)
    rewrite._write_pyc(AssertionState(_given[0], "rewrite"), code, source, target)


def _compiled(file: Path) -> Path:
    return Path(rewrite.get_cache_dir(file)) / (file.name[:-3] + rewrite.PYC_TAIL)
