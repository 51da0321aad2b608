"""Zero, head, zero, head: what a rollback leaves is what was there before."""

import pytest

from scripts.migrate import apply_all, rollback
from tests.migration.projects import project, silent

pytestmark = [pytest.mark.slow, pytest.mark.scoreboard("R15", tier="landing")]


@pytest.mark.parametrize("adopted", [False, True], ids=["empty", "adopted"])
@pytest.mark.parametrize("plain_owner", [False, True], ids=["superuser", "plain_owner"])
def test_rolled_back_database_is_as_it_was__and_migrates_again_to_the_same(
    each_server_url: str, plain_owner: bool, adopted: bool
) -> None:
    """Schema dumps, row counts and checksums are the same after a rollback, and both heads are alike."""
    with project(each_server_url, plain_owner=plain_owner, adopted=adopted) as found:
        schema, data = found.dump(), found.data()
        apply_all(found.url, silent)
        head = found.dump()
        rollback(found.url, "all", say=silent)
        assert found.dump() == schema
        assert found.data() == data
        apply_all(found.url, silent)
        assert found.dump() == head
        rollback(found.url, "all", say=silent)
        assert found.dump() == schema
        assert found.data() == data


def test_each_migration_rolls_back_to_the_one_before(each_server_url: str) -> None:
    """Step by step down over a project with people: every stop equals the stop on the way up."""
    with project(each_server_url, plain_owner=True, adopted=True) as found:
        names = apply_all(found.url, silent)
        head = found.dump()
        for keep in reversed(names[:-1]):
            assert rollback(found.url, keep, say=silent) == [names[names.index(keep) + 1]]
        apply_all(found.url, silent)
        assert found.dump() == head
