"""That tests are compiled once for all processes, and again only when they have changed."""

from pathlib import Path

import pytest

from tests.bytecode import compile_all, is_stale


def test_what_is_compiled_is_found_and_what_changed_is_compiled_anew(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The byte code lies where pytest itself looks for it, for the text as it is now."""
    file = tmp_path / "test_one.py"
    file.write_text("def test_a():\n    assert 1 == 1\n")
    assert is_stale(file)
    assert compile_all(pytestconfig, tmp_path) == 1
    assert not is_stale(file)
    assert compile_all(pytestconfig, tmp_path) == 0
    # Longer too: pytest tells texts apart by their length and the second they were written in.
    file.write_text("def test_a():\n    assert 22 == 22\n")
    assert is_stale(file)
