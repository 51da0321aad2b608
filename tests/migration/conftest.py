"""Fixtures of the migration tests: a project as it may be found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.migrate import apply_all
from tests.migration.projects import Project, copy_of_migrations, project, silent


@pytest.fixture
def empty_project(server_url: str) -> Iterator[Project]:
    """An empty database, migrated by a superuser."""
    with project(server_url) as found:
        yield found


@pytest.fixture
def adopted_project(server_url: str) -> Iterator[Project]:
    """A project with people in it, migrated by its plain owner."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        yield found


@pytest.fixture
def helpers(adopted_project: Project, tmp_path: Path) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The adopted project with the adoption helpers and nothing else of ours; its owner's connection."""
    apply_all(adopted_project.url, silent, copy_of_migrations(tmp_path, upto="0001"))
    with adopted_project.connect() as connection:
        yield connection
