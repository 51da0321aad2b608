"""Several processes: what is worth sharing is made in one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ONE_PAGE = "tests/pages/test_headers.py::test_the_policy_itself_is_strict"


@pytest.mark.slow
def test_a_file_of_the_pages_is_a_group_of_one_process() -> None:
    """xdist says so in the test's name. It once did nothing, and said nothing: pytest had taken away what it
    wrote the group into, and a simulated week was made in two processes."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-n", "1", "--dist", "loadgroup", "-v", ONE_PAGE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert f"PASSED {ONE_PAGE}@pages test_headers" in done.stdout, done.stdout
