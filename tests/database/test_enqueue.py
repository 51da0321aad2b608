"""enqueue: one door, once per key and tenant, with every wrong word said."""

import json
import uuid

import psycopg
import pytest

from tests.database.conftest import Worlds
from tests.database.past import buffers, sent_long_ago
from tests.database.sessions import Waiting
from tests.database.world import BentClock, Row, World

TEXT = {"kind": "text", "text": "Oi"}


def test_a_message_is_queued_with_its_purposes_rules(world: World) -> None:
    """Lane, expiry, zone and what an unknown does come from the purpose unless they are named."""
    message = world.message(world.enqueue(world.number(), run_id="r1", subject_id="s1"))
    assert (message["dispatch_state"], message["lane"], message["on_unknown"]) == ("queued", "timed", "hold")
    assert (message["expires_at"] - message["created_at"]).total_seconds() == 6 * 3600
    assert (message["time_zone"], message["run_id"], message["subject_id"]) == (
        "America/Sao_Paulo",
        "r1",
        "s1",
    )


def test_the_same_key_gives_the_earlier_message_back(world: World) -> None:
    """Asked again with the same words: not created, the same request; with other words: not created, and
    said so."""
    number = world.number()
    wanted = world.wanted(number)
    first = world.enqueue_many([wanted])[0]
    again = world.enqueue_many([wanted])[0]
    other = world.enqueue_many([wanted | {"content": TEXT | {"text": "Tchau"}}])[0]
    assert (first["created"], again["created"], other["created"]) == (True, False, False)
    assert (again["same_request"], other["same_request"]) == (True, False)
    assert first["message_id"] == again["message_id"] == other["message_id"]
    assert world.message(first["message_id"])["content"] == TEXT


def test_a_key_belongs_to_its_tenant_and_the_house_is_one_tenant(world: World) -> None:
    """Two agencies may use one key; two house numbers may not, since no tenant equals no tenant."""
    numbers = [
        world.number(),
        world.number(),
        *(world.number(agency_id=uuid.uuid4(), in_pool=False) for _ in "ab"),
    ]
    created = [world.enqueue_many([world.wanted(n, dedupe_key="k")])[0]["created"] for n in numbers]
    assert created == [True, False, True, True]


def test_one_list_that_names_a_key_twice_makes_one_message(world: World) -> None:
    """The second mention is answered like a second call: not created, and it says whether it asked the
    same."""
    number = world.number()
    wanted = world.wanted(number)
    other = wanted | {"content": TEXT | {"text": "Tchau"}}
    answers = world.enqueue_many([wanted, other])
    assert len({row["message_id"] for row in answers}) == 1
    assert [(row["created"], row["same_request"]) for row in answers] == [(True, True), (False, False)]


def test_answers_come_in_the_order_of_the_list(world: World) -> None:
    """A caller may pair its list with the answer, whether the messages are new or not."""
    number = world.number()
    wanted = [world.wanted(number) for _ in range(20)]
    world.enqueue_many(wanted[::3])
    assert [row["dedupe_key"] for row in world.enqueue_many(wanted)] == [w["dedupe_key"] for w in wanted]


def test_a_list_to_one_person_goes_out_in_its_own_order(world: World) -> None:
    """What a caller wrote first, the person reads first, whatever the keys are called."""
    number = world.number(gap=(0, 0))
    keys = ["part:9", "part:10", "afterword", "Zeta"]
    wanted = [world.wanted(number, phone="5511987654321", dedupe_key=key) for key in keys]
    in_order = [row["message_id"] for row in world.enqueue_many(wanted)]
    sent = []
    for _ in keys:
        claimed = world.claim()[0]
        sent.append(claimed.message_id)
        world.record(world.begin(claimed)["attempt_id"])
    assert sent == in_order


def test_a_key_taken_by_another_number_meanwhile_still_gives_a_message_back(
    world: World, another: Worlds
) -> None:
    """Whoever loses the race for a key gets the winner's message, also where the two did not wait at one
    sender."""
    one, two = world.number(), world.number()
    winner, loser = another(), another()
    with winner.connection.transaction():
        won = winner.enqueue(one, dedupe_key="k")
        waiting = Waiting(loser, world, lambda: loser.enqueue_many([world.wanted(two, dedupe_key="k")]))
        assert waiting.is_waiting
    assert [(row["message_id"], row["created"]) for row in waiting.result()] == [(won, False)]


def test_two_lists_with_the_same_keys_in_other_orders_do_not_deadlock(world: World, another: Worlds) -> None:
    """Keys are taken in one order, whatever the order of the lists and the numbers that they name."""
    first, second, third = (world.number() for _ in range(3))
    blocker, one, two = another(), another(), another()
    lists = [
        [world.wanted(number, dedupe_key=key) for key in keys]
        for number, keys in ((first, ("a", "m", "z")), (second, ("z", "m", "a")))
    ]
    blocker.rows("begin")
    blocker.enqueue(third, dedupe_key="m")
    waiting_one = Waiting(one, world, lambda: one.enqueue_many(lists[0]))
    waiting_two = Waiting(two, world, lambda: two.enqueue_many(lists[1]))
    blocker.rows("rollback")
    answers = waiting_one.result() + waiting_two.result()
    assert len({row["message_id"] for row in answers}) == 3
    assert sum(row["created"] for row in answers) == 3


@pytest.mark.audit_findings_expected
def test_an_enqueue_costs_no_more_for_what_was_enqueued_long_ago(world: World) -> None:
    """Its keys are looked up one by one, not the whole index for each."""
    query = "select * from messaging.enqueue_many(%s)"
    wanted = json.dumps([world.wanted(world.number()), world.wanted(world.number())])
    without = buffers(world, query, wanted)
    sent_long_ago(world)
    assert buffers(world, query, wanted) < without + 100


def test_somebody_whose_time_ran_out_on_the_way_does_not_refuse_the_whole_list(
    world: World, bent_clock: BentClock
) -> None:
    """A reminder whose window closed between the choice and the list expires by itself; the others go."""
    number = world.number(gap=(0, 0))
    now = bent_clock.now()
    late, other = world.enqueue_many([world.wanted(number, expires_at=now), world.wanted(number)])
    bent_clock.forward(1)
    assert [claimed.message_id for claimed in world.claim()] == [other["message_id"]]
    assert world.state(late["message_id"]) == "expired"


REFUSED: dict[str, Row] = {
    "no purpose": {"purpose": "spam"},
    "no key": {"dedupe_key": ""},
    "no phone": {"phone": "123"},
    "a phone of 16 digits": {"phone": "1234567890123456"},
    "nobody enqueues": {"enqueued_by": None},
    "no content": {"content": None},
    "content of no kind": {"content": {"text": "Oi"}},
    "an empty text": {"content": {"kind": "text", "text": ""}},
    "audio without media": {"content": {"kind": "audio"}},
    "over already": {"expires_at": "2020-01-01T00:00:00Z"},
    "over before it may go": {"not_before": "2050-01-02T00:00:00Z", "expires_at": "2050-01-01T00:00:00Z"},
    "no such zone": {"time_zone": "America/Atlantis"},
    "no such number": {"instance_id": str(uuid.uuid4())},
    "an instance_id that is no id": {"instance_id": "number one"},
    "a profile_id that is no id": {"profile_id": "Ana"},
    "a moment that is none": {"not_before": "tomorrow-ish"},
    "a moment in no zone": {"not_before": "2050-01-01T00:00:00+99"},
    "a moment on another planet": {"not_before": "2050-01-01 00:00 Mars/Phobos"},
    "a moment beyond the calendar": {"not_before": "999999-01-01T00:00:00Z"},
    "a text that is no text": {"content": {"kind": "text", "text": {"a": 1}}},
    "content that is a word": {"content": "Oi"},
    "a rule for unknown that is none": {"on_unknown": "retry"},
}


def test_a_wrong_message_is_refused_by_our_own_code(world: World) -> None:
    """WP003 with a text that says what to change; nothing of the list is stored."""
    number = world.number()
    enqueue = "select * from messaging.enqueue_many(%s)"
    lists = {
        name: json.dumps([world.wanted(number), world.wanted(number) | wrong])
        for name, wrong in REFUSED.items()
    }
    lists |= {"no list: " + text: text for text in ("{}", "null", "7", '"x"', "[1]", "[null]", "[[]]")}
    answers = {name: world.refusal(enqueue, messages) for name, messages in lists.items()}
    assert answers == dict.fromkeys(lists, "WP003")
    assert world.value("select count(*) from messaging.outbox") == 0


def test_an_empty_list_is_no_error(world: World) -> None:
    """Nothing to say is nothing to do."""
    assert world.enqueue_many([]) == []


def test_an_answer_must_name_the_number_that_was_written_to(world: World) -> None:
    """The lane reply never chooses a number by itself."""
    world.number()
    with pytest.raises(psycopg.Error, match="name it"):
        world.enqueue(purpose="answer")


def test_the_number_that_speaks(world: World) -> None:
    """Named, else the profile's (found by the phone in any form), else the default one; whatever its
    health."""
    default, own, named = world.number(), world.number(), world.number()
    world.profile("5511987654321", own)
    world.set_status(own, "paused")
    phones = {"551187654321": own, "+55 11 98765-4321": own, "5511900000001": default}
    for phone, number in phones.items():
        assert world.message(world.enqueue(phone=phone))["instance_id"] == number
    assert world.message(world.enqueue(named, phone="5511987654321"))["instance_id"] == named


def test_without_any_number_the_refusal_says_what_to_do(world: World) -> None:
    """No default number: the caller is told to set one."""
    with pytest.raises(psycopg.Error, match="set a default number"):
        world.enqueue()
