"""Fixtures of the crash tests alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """An empty folder for a database server of this test's own, which its account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-crash-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
