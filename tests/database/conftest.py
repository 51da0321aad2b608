"""Fixtures of the database tests: a world in one session, and more of them."""

from collections.abc import Callable

import pytest

from tests.database.world import BentClock, Connect, World

Worlds = Callable[[], World]


@pytest.fixture
def world(connect: Connect) -> World:
    """One session on this test's own database."""
    return World(connect())


@pytest.fixture
def another(connect: Connect) -> Worlds:
    """Call it for one more session on the same database."""
    return lambda: World(connect())


@pytest.fixture
def bent_clock(world: World) -> BentClock:
    """The database's clock, moved by the test alone."""
    return BentClock(world)
