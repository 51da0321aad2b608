"""Numbers: adding, importing from the environment, roles, health, and the trace of every change."""

import uuid
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.database.conftest import Worlds
from tests.database.world import BentClock, Row, World

IMPORT = "select * from messaging.import_env_instance(%s, %s, %s, 'migrate')"


def imported(world: World, zapi_instance_id: str = "E-1", renewed: str = "") -> Row:
    """What the end of `roleta migrate` does with ZAPI_*."""
    return world.rows(IMPORT, zapi_instance_id, renewed or "token-1", "client-token")[0]


def test_the_first_number_is_the_default(world: World) -> None:
    """Exactly one default, and it is the first one until a person says otherwise."""
    first, second = world.number(), world.number()
    assert world.value("select messaging.default_instance()") == first
    world.value("select messaging.set_default_instance(%s, 'test')", second)
    assert world.rows("select id from public.whatsapp_instances where is_default") == [{"id": second}]


@pytest.mark.parametrize(("column", "value"), [("in_pool", False), ("agency_id", uuid.UUID(int=1))])
def test_a_clients_number_cannot_be_the_default(world: World, column: str, value: object) -> None:
    """The default is a number of the house, in the pool."""
    world.number()
    client = world.number()
    world.rows(f"update public.whatsapp_instances set {column} = %s where id = %s", value, client)
    with pytest.raises(psycopg.Error, match="of the house"):
        world.value("select messaging.set_default_instance(%s, 'test')", client)


def test_the_environments_number_is_made_once(world: World) -> None:
    """Imported twice: one row, the default, nothing updated the second time."""
    first, again = imported(world), imported(world)
    assert (first["created"], first["updated"], first["is_default"]) == (True, False, True)
    assert again == first | {"created": False}


def test_a_renewed_token_updates_the_row(world: World) -> None:
    """The same instance id with another token is the same number."""
    first = imported(world)
    renewed = imported(world, renewed="token-2")
    assert (renewed["created"], renewed["updated"]) == (False, True)
    assert world.instance(first["instance_id"])["zapi_token"] == "token-2"


def test_another_instance_id_is_a_second_number_and_moves_nobody(world: World) -> None:
    """Who is linked stays linked, and the default stays the default."""
    first = imported(world)
    person = world.profile("5511987654321", first["instance_id"])
    second = imported(world, "E-2")
    assert (second["created"], second["is_default"]) == (True, False)
    assert (
        world.value("select whatsapp_instance_id from public.profiles where id = %s", person)
        == first["instance_id"]
    )


def test_more_profiles_than_seats_are_all_linked_and_counted_right(world: World) -> None:
    """Adoption is not bound by the seats: every profile without a number gets this one, in batches; a
    second run 0."""
    number = imported(world)["instance_id"]
    other = world.number()
    mine = world.profile("5511987654321", other)
    world.rows(
        "insert into public.profiles (user_id, phone)"
        " select gen_random_uuid(), '55219' || (10000000 + g) from generate_series(1, 2300) as g"
    )
    link = "select messaging.link_profiles(%s, 1000)"
    assert [world.value(link, number) for _ in range(4)] == [1000, 1000, 300, 0]
    assert (world.instance(number)["current_users"], world.instance(number)["max_users"]) == (2300, 250)
    assert world.value("select whatsapp_instance_id from public.profiles where id = %s", mine) == other
    assert world.allocate(world.profile()) == other


def test_an_import_finds_a_free_name(world: World) -> None:
    """A number that a person named "Aura #2" does not make the import of the environment's number fail."""
    world.value("select messaging.add_instance('Aura #2', 'I-1', 't', 'c', 'test')")
    assert imported(world)["created"] is True


@pytest.mark.parametrize("twice", ["name", "instance id"])
def test_a_number_is_added_once(world: World, twice: str) -> None:
    """The same name or the same Z-API id is refused with words."""
    add = "select messaging.add_instance(%s, %s, 't', 'c', 'test')"
    world.value(add, "Aura", "I-1")
    with pytest.raises(psycopg.Error, match="exists already") as refused:
        world.value(add, *(("Aura ", "I-2") if twice == "name" else ("Other", "I-1")))
    assert refused.value.sqlstate == "WP003"


UNKNOWN_NUMBER = [
    "set_instance_status(gen_random_uuid(), 'paused', 'test')",
    "set_accepts_new(gen_random_uuid(), true, 'test')",
    "set_seats(gen_random_uuid(), 1, 'test')",
    "set_gaps(gen_random_uuid(), 1, 2, 'test')",
    "set_webhook_token(gen_random_uuid(), sha256('x'), 'test')",
    "begin_webhook_rotation(gen_random_uuid(), sha256('x'), 'test')",
    "end_webhook_rotation(gen_random_uuid(), sha256('x'), 'test')",
    "revoke_previous_webhook_token(gen_random_uuid(), 'test')",
    "set_phone_number(gen_random_uuid(), '5', 'test')",
    "record_health(gen_random_uuid(), true)",
    "link_profiles(gen_random_uuid())",
]


def test_an_unknown_number_is_not_found(world: World) -> None:
    """WP002, not an error of the database's own."""
    world.profile()
    answers = {call: world.refusal(f"select messaging.{call}") for call in UNKNOWN_NUMBER}
    assert answers == dict.fromkeys(UNKNOWN_NUMBER, "WP002")


WRONG = [
    "set_instance_status({}, 'asleep', 'test')",
    "set_instance_status({}, 'paused', '')",
    "set_seats({}, -1, 'test')",
    "set_seats({}, null, 'test')",
    "set_gaps({}, 45, 25, 'test')",
    "set_gaps({}, -1, 2, 'test')",
    "set_gaps({}, 1, 2, 'test', -1)",
    "set_accepts_new({}, null, 'test')",
    "set_webhook_token({}, 'short', 'test')",
    "begin_webhook_rotation({}, 'short', 'test')",
    "begin_webhook_rotation({}, null, 'test')",
    "end_webhook_rotation({}, 'short', 'test')",
    "halt_instance({}, '', 'test')",
    "set_default_instance({}, ' ')",
]


def test_a_wrong_argument_is_refused_with_words(world: World) -> None:
    """WP003, not a constraint's name."""
    number = world.number()
    answers = {call: world.refusal("select messaging." + call.format(f"'{number}'")) for call in WRONG}
    assert answers == dict.fromkeys(WRONG, "WP003")


def test_every_change_leaves_its_trace(world: World) -> None:
    """Who, what and why, one row per change."""
    number = world.number()
    world.value("select messaging.set_instance_status(%s, 'paused', 'Bia', 'holiday')", number)
    world.value("select messaging.set_seats(%s, 10, 'Bia')", number)
    world.value("select messaging.set_gaps(%s, 30, 60, 'Bia')", number)
    trace = world.rows("select changed_by, change, why from messaging.instance_history order by id")
    assert [tuple(row.values()) for row in trace] == [
        ("Bia", "active -> paused", "holiday"),
        ("Bia", "seats 250 -> 10", None),
        ("Bia", "gaps 30-60 s", None),
    ]


def test_a_direct_change_says_whose_hand_it_was(world: World, another: Worlds) -> None:
    """A row written by service_role through PostgREST is not put down to the owner of our functions."""
    number = world.number()
    api = another()
    api.rows("set role service_role")
    api.rows("update public.whatsapp_instances set status = 'paused' where id = %s", number)
    assert "service_role" in world.value("select changed_by from messaging.instance_history")


def test_two_rotations_at_once_leave_every_secret_good(world: World) -> None:
    """Which one the provider took last is not known: both ends in either order leave both live, the second is
    told, and nothing can be revoked until one was alone."""
    number = world.number()
    secrets = [bytes([letter]) * 32 for letter in range(4)]

    def rotate(step: str, secret: bytes) -> Any:
        return world.value(f"select messaging.{step}_webhook_rotation(%s, %s, 'Bia')", number, secret)

    def live() -> list[bytes]:
        ask = "select instance_id from messaging.webhook_instance(%s)"
        return [each for each in secrets if world.rows(ask, each)]

    revoke = f"select messaging.revoke_previous_webhook_token('{number}', 'Bia')"
    world.value("select messaging.set_webhook_token(%s, %s, 'test')", number, secrets[0])
    rotate("begin", secrets[1])
    rotate("begin", secrets[2])
    assert (rotate("end", secrets[2]), rotate("end", secrets[1])) == (True, False)
    assert live() == secrets[:3] and world.refusal(revoke) == "WP004"

    rotate("begin", secrets[3])
    assert rotate("end", secrets[3]) is rotate("end", secrets[3]) is True
    assert live() == secrets[1:]
    assert world.value(revoke) is True and live() == secrets[3:]
    assert world.value(revoke) is False


class Health(NamedTuple):
    """What a number was, what its provider says, and what it is then."""

    status: str
    halt: str | None
    connected: bool | None
    refusal: str | None
    after: tuple[str, str | None]


HEALTH = [
    Health("active", None, False, None, ("disconnected", None)),
    Health("active", None, True, None, ("active", None)),
    Health("active", None, None, None, ("active", None)),
    Health("active", None, None, "token refused", ("active", "token refused")),
    Health("disconnected", None, True, None, ("active", None)),
    Health("paused", None, False, None, ("paused", None)),
    Health("paused", None, True, None, ("paused", None)),
    Health("banned", None, True, None, ("banned", None)),
    Health("active", "restricted", True, None, ("active", "restricted")),
    Health("disconnected", "restricted", True, None, ("active", "restricted")),
    Health("active", "lapsed", True, None, ("active", None)),
]


@pytest.mark.own_database
def test_the_next_caller_on_the_same_connection_inherits_nothing(world: World) -> None:
    """Pitfall 14: behind a transaction pooler no name, lock or setting of one call reaches the next."""
    number = world.number()
    world.sign_up("5511987654321")
    world.set_status(number, "paused")
    world.rows("update public.whatsapp_instances set status = 'active' where id = %s", number)
    changed_by = world.value("select changed_by from messaging.instance_history order by id desc limit 1")
    assert changed_by.endswith("(directly)")
    assert world.value("select count(*) from pg_locks where locktype = 'advisory'") == 0


def test_what_the_provider_says_of_a_number(world: World, bent_clock: BentClock) -> None:
    """record_health: only active and disconnected move, and a restriction is a person's to lift."""
    for case in HEALTH:
        number = world.number(status=case.status)
        if case.halt:
            world.value("select messaging.halt_instance(%s, %s, 'test')", number, case.halt)
            bent_clock.forward(301)
        world.value("select messaging.record_health(%s, %s, %s)", number, case.connected, case.refusal)
        row = world.instance(number)
        assert (row["status"], row["halted_reason"]) == case.after, case


def test_a_fresh_refusal_is_not_lifted_by_a_good_answer_at_once(world: World, bent_clock: BentClock) -> None:
    """A lapsed subscription looks healthy on /status: five minutes pass before a good answer is believed."""
    number = world.number()
    for status in ("active", "disconnected"):
        world.rows("update public.whatsapp_instances set status = %s where id = %s", status, number)
        world.value("select messaging.halt_instance(%s, 'lapsed', 'test')", number)
        world.value("select messaging.record_health(%s, true)", number)
        assert world.instance(number)["halted_reason"] == "lapsed"


def test_each_health_check_goes_to_one_worker(world: World, another: Worlds) -> None:
    """Taken at most once a minute, passed over while another worker holds it."""
    numbers = {world.number() for _ in range(3)}
    world.number(status="paused")
    take = "select instance_id from messaging.take_health_checks(60, 2)"
    one, two = another(), another()
    with one.connection.transaction():
        taken = one.rows(take) + two.rows(take)
    assert {row["instance_id"] for row in taken} == numbers
    assert len(taken) == 3
    assert world.rows(take) == []
