"""A conversation on an adopted project: an enum where we have a text, added columns, two rows per phone."""

from collections.abc import Iterator

import psycopg
import pytest

from scripts.migrate import apply_all
from shared.db import Database
from shared.texts_pt import conversation
from tests.database.talking import PHONE, Talk
from tests.database.world import World
from tests.migration.projects import project, silent


@pytest.fixture
def adopted_talk(server_url: str) -> Iterator[Talk]:
    """A person of a project that the originals left, migrated by its plain owner."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        apply_all(found.url, silent)
        with psycopg.connect(found.url, autocommit=True) as connection, Database(found.url) as db:
            yield Talk(World(connection), db)


def test_rating_confirmation_and_history_work_on_adopted_tables(adopted_talk: Talk) -> None:
    """What our own tables do, theirs do."""
    ended = adopted_talk.world.value("select messaging.clock() - interval '1 h'")
    adopted_talk.session("completed", "-2 h", rating_requested=True, ended_at=ended)
    confirmed = adopted_talk.session("scheduled", "20 h", confirmation_requested=True)
    for said in ("5", "sim"):
        adopted_talk.say(said)
        assert adopted_talk.answer()
    assert adopted_talk.texts()[0] == conversation.rated("Ana", 5)
    assert adopted_talk.world.value("select rating from public.session_ratings") == 5
    assert adopted_talk.world.value("select user_confirmed from public.sessions where id = %s", confirmed)
    assert [text for _, text in adopted_talk.history()] == ["5", "sim"]
    assert adopted_talk.world.value("select count(*) from messaging.failed_effects") == 0


def test_person_with_two_rows_is_one_person_in_a_conversation(adopted_talk: Talk) -> None:
    """Ana stands there with and without the ninth digit: both forms are one turn, of the active row."""
    adopted_talk.say("um", phone="5511987654321")
    adopted_talk.say("dois", phone="551187654321")
    assert adopted_talk.answer() and not adopted_talk.answer()
    names = adopted_talk.world.rows(
        "select name, last_user_message_at from public.profiles where phone like %s", "5511%7654321"
    )
    assert {row["name"]: row["last_user_message_at"] is not None for row in names} == {
        "Ana": True,
        "Ana P.": False,
    }
    assert adopted_talk.person()["phone"] == PHONE
