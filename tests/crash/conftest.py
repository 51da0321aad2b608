"""Fixtures of the crash tests alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.database_proxy import DatabaseProxy


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """An empty folder for a database server of this test's own, which its account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-crash-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    """The way to this test's database that can lose answers."""
    with DatabaseProxy(database_url) as running:
        yield running
