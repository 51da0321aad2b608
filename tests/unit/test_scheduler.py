"""A scheduler before it meets a database: what it takes, and what it never asks."""

import pytest

from shared.db import Database
from shared.errors import InvalidInput
from tests.database.scheduling import Runs, scheduler


@pytest.fixture
def nowhere() -> Database:
    """A database that nobody could reach; never opened, so never closed."""
    return Database("postgresql://nobody@127.0.0.1:1/none")


def test_no_schedule_asks_for_nothing(nowhere: Database) -> None:
    """A supabase.toml without schedules costs no call."""
    assert scheduler(nowhere, Runs()).tick("w1") == 0


def test_an_expression_that_cannot_be_read__refused(nowhere: Database) -> None:
    """When the worker starts, not when the slot should come."""
    with pytest.raises(InvalidInput, match="cron expression"):
        scheduler(nowhere, Runs(), ("weekly-report", "0 25 * * *"))
