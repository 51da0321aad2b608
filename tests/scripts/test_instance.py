"""`roleta instance`: what changes a number without asking its provider, and the face that it goes through."""

from uuid import UUID, uuid4

import pytest

from shared import instances
from shared.db import Database
from shared.errors import Conflict, NotFound
from shared.instances import Credentials
from tests.scripts.conftest import secrets_of
from tests.scripts.roleta import Roleta


def test_list_shows_each_number_without_its_phone_or_secrets(roleta: Roleta, aura: UUID) -> None:
    """Name, role, state and id; the phone only by its tail, the credentials not at all."""
    said = roleta.well("instance", "list") + roleta.well("instance", "list", "--json")

    assert "default, pool" in said
    assert str(aura) in said
    assert "…0001" in said
    for secret in secrets_of(1).as_row().values():
        assert secret not in said


def test_pause_resume_and_ban_say_what_was_and_why(roleta: Roleta, aura: UUID, db: Database) -> None:
    """Each answers the state before; who and why are in the number's history."""
    assert roleta.well("instance", "pause", "Aura #1") == "Aura #1 is paused; it was active\n"
    assert "was paused" in roleta.well("instance", "ban", str(aura), "--why", "seen", "--by", "Rita")
    assert "is active; it was banned" in roleta.well("instance", "resume", "aura #1")
    rows = db.rows("select h.changed_by, h.change, h.why from messaging.instance_history as h order by h.id")
    assert {"changed_by": "Rita", "change": "paused -> banned", "why": "seen"} in rows


def test_resume_lifts_a_halt_and_says_which(roleta: Roleta, aura: UUID, db: Database) -> None:
    """To resume a halted number is to say that its trouble is over."""
    instances.record_health(db, aura, None, "subscription_lapsed", by="the test")

    assert "subscription_lapsed" in roleta.well("instance", "list")
    assert "the halt is lifted: subscription_lapsed" in roleta.well("instance", "resume", "Aura #1")
    assert instances.find(db, "Aura #1").halted_reason is None


def test_seats_gaps_and_default(roleta: Roleta, aura: UUID, db: Database) -> None:
    """Seats, pace and the default number change from the command line, each with a sentence."""
    instances.add(db, "Aura #2", secrets_of(2), by="the test")

    assert "40 seats (before: 250) and 0 people" in roleta.well("instance", "seats", "Aura #1", "40")
    assert "30 to 60 s" in roleta.well("instance", "gaps", "Aura #1", "30", "60")
    assert "banned" in roleta.well("instance", "gaps", "Aura #2", "1", "2.5")
    assert "default number" in roleta.well("instance", "default", "Aura #2")
    assert [each.name for each in instances.every(db)] == ["Aura #2", "Aura #1"]
    [second, first] = roleta.told("status", "--json")["numbers"]
    assert (first["gap_min_s"], first["gap_max_s"], first["seats"]) == (30, 60, 40)
    assert (second["gap_min_s"], second["gap_max_s"]) == (1, 2.5)


def test_fewer_seats_than_people_says_how_many_stay(roleta: Roleta, aura: UUID, db: Database) -> None:
    """People are never moved by taking seats away."""
    for tail in range(3):
        db.call(
            "messaging.sign_up",
            p_name="Ana",
            p_phone=f"551198000{tail:04d}",
            p_email=None,
            p_welcome_text="Oi",
            p_enqueued_by="the test",
        )

    assert "3 people: 2 over, and they stay" in roleta.well("instance", "seats", "Aura #1", "1")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("pause", "Aura #9"), "known: Aura #1"),
        (("gaps", "Aura #1", "50", "20"), "smallest <= largest"),
        (("gaps", "Aura #1", "20", "nan"), "gaps are seconds"),
    ],
)
def test_what_makes_no_sense_is_one_line__refused(
    roleta: Roleta, aura: UUID, words: tuple[str, ...], reason: str
) -> None:
    """An unknown number and impossible values are told, not traced."""
    assert reason in roleta.refused("instance", *words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("seats", "Aura #1", "-5"), "-5 is not in the range 0<=x<="),
        (("gaps", "Aura #1", "-5", "20"), "0 <= smallest"),
        (("gaps", "Aura #1", "-.5", "-2"), "0 <= smallest"),
        (("seats", "Aura #1", "--five"), "No such option"),
    ],
)
def test_a_negative_number_is_out_of_range_and_no_option__refused(
    roleta: Roleta, aura: UUID, words: tuple[str, ...], reason: str
) -> None:
    """What was typed is told to be a number that is too small."""
    result = roleta("instance", *words)
    assert result.exit_code in (1, 2) and reason in " ".join(result.stderr.split())


def test_a_name_borne_twice_asks_for_the_id__refused(db: Database, aura: UUID, roleta: Roleta) -> None:
    """Names are unique by our hand; where an adopted table repeats one, an order needs the id."""
    other = instances.add(db, "Aura #2", secrets_of(2), by="the test")
    with db.transaction() as transaction:
        transaction.rows("update public.whatsapp_instances set name = 'Aura #1' returning id")
    with pytest.raises(Conflict, match="several numbers"):
        instances.find(db, "Aura #1")

    assert instances.find(db, str(other)).instance_id == other


def test_pace_of_a_number_is_set_in_all_its_columns(db: Database, aura: UUID) -> None:
    """`up --speed` divides the four gap columns, and nothing else."""
    instances.set_pace(db, aura, instances.Pace().divided(20), by="the test")
    [row] = db.rows(
        "select s.gap_min_s, s.gap_max_s, s.reply_gap_s, s.reply_push_max_s, s.send_timeout_s"
        " from messaging.senders as s"
    )

    assert [float(value) for value in row.values()] == [1.25, 2.25, 0.25, 6, 20]


def test_credentials_come_as_the_row_that_a_client_wants_and_show_nothing(db: Database, aura: UUID) -> None:
    """The secrets are readable for the provider's client and invisible in a repr."""
    assert instances.credentials(db, aura) == secrets_of(1)
    assert repr(Credentials("a", "b", "c")) == "Credentials()"
    with pytest.raises(NotFound):
        instances.credentials(db, uuid4())
