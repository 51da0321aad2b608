"""The counter of people per number, and the dense slots of the draw: they follow whatever is done to the
rows.

The audit views (after every test) compare both with the rows themselves; here they are made to change.
"""

import uuid

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from tests.database.conftest import Worlds
from tests.database.sessions import all_at_once
from tests.database.world import Connect, World
from tests.servers import fresh_database

SEATS = "select count(*) as numbers, sum(current_users)::int as people, sum(max_users)::int as seats"


def people_on(world: World, *numbers: uuid.UUID) -> list[int]:
    """What the counters of these numbers say."""
    return [world.instance(number)["current_users"] for number in numbers]


def test_seats_follow_every_way_in_and_out(world: World) -> None:
    """Insert, copy, upsert, move, unlink, delete, truncate: of one or many, each counted once."""
    one, two = world.number(), world.number()
    world.rows(
        "insert into public.profiles (user_id, whatsapp_instance_id)"
        " select gen_random_uuid(), case when g <= 30 then %s::uuid else %s end"
        " from generate_series(1, 50) as g",
        one,
        two,
    )
    assert people_on(world, one, two) == [30, 20]
    with world.connection.cursor().copy(
        b"copy public.profiles (user_id, whatsapp_instance_id) from stdin"
    ) as copy:
        for _ in range(5):
            copy.write_row((uuid.uuid4(), one))
    assert people_on(world, one, two) == [35, 20]
    world.rows(
        "insert into public.profiles (user_id, whatsapp_instance_id)"
        " select p.user_id, %s from public.profiles as p where p.whatsapp_instance_id = %s limit 5"
        " on conflict (user_id) do update set whatsapp_instance_id = excluded.whatsapp_instance_id",
        two,
        one,
    )
    assert people_on(world, one, two) == [30, 25]
    world.rows(
        "update public.profiles set whatsapp_instance_id ="
        " case whatsapp_instance_id when %s then %s::uuid else %s end",
        one,
        two,
        one,
    )
    assert people_on(world, one, two) == [25, 30]
    world.rows("update public.profiles set name = 'Bia'")
    world.rows("update public.profiles set whatsapp_instance_id = null where whatsapp_instance_id = %s", one)
    assert people_on(world, one, two) == [0, 30]
    world.rows(
        "delete from public.profiles where id in"
        " (select id from public.profiles where whatsapp_instance_id = %s limit 10)",
        two,
    )
    assert people_on(world, one, two) == [0, 20]
    world.rows("truncate public.profiles cascade")
    assert people_on(world, one, two) == [0, 0]


def test_a_rolled_back_move_gives_its_seat_back(world: World) -> None:
    """The counter is part of the transaction (bug 07)."""
    number = world.number()
    with pytest.raises(psycopg.Error), world.connection.transaction():
        world.profile(instance=number)
        world.rows("select 1 / 0")
    assert people_on(world, number) == [0]


def test_one_statement_that_moves_many_counts_from_many_sessions(world: World, connect: Connect) -> None:
    """Eight sessions move people of all numbers round and round at once: nobody is lost, nothing
    deadlocks."""
    numbers = [world.number() for _ in range(6)]
    for number in numbers:
        for _ in range(8):
            world.profile(instance=number)
    people = [row["id"] for row in world.rows("select id from public.profiles")]

    def move(session: World, index: int) -> None:
        mine = people[index::8]
        for turn in range(10):
            session.rows(
                "update public.profiles as p set whatsapp_instance_id ="
                " (%s::uuid[])[1 + (abs(hashtext(p.id::text)) + %s) %% 6] where p.id = any(%s)",
                numbers,
                turn + index,
                mine,
            )

    all_at_once([connect() for _ in range(8)], move)
    assert sum(people_on(world, *numbers)) == len(people)


def test_an_adopted_trigger_that_counts_too_is_switched_off(server_url: str) -> None:
    """The original lowered the counter when a profile was deleted: after adoption one person is one seat."""
    with fresh_database(server_url) as url:
        bootstrap_supabase(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ADOPTED)
            apply_all(url, say=lambda _: None)
            world = World(connection)
            assert people_on(world, uuid.UUID(int=1)) == [3]  # had drifted to 7
            world.rows("delete from public.profiles where name = 'Ana'")
            assert people_on(world, uuid.UUID(int=1)) == [2]
            world.profile("5511987654321", uuid.UUID(int=1))
            assert people_on(world, uuid.UUID(int=1)) == [3]


ADOPTED = """
create table public.whatsapp_instances (
    id uuid primary key default gen_random_uuid(), name text not null, phone_number text,
    zapi_instance_id text not null, zapi_token text not null, zapi_client_token text not null,
    max_users int not null default 250, current_users int not null default 0,
    status text not null default 'active', created_at timestamptz not null default now());
create table public.profiles (
    id uuid primary key default gen_random_uuid(), user_id uuid not null unique, name text, phone text,
    whatsapp_instance_id uuid references public.whatsapp_instances (id));
create function public.give_back() returns trigger language plpgsql as $$ begin
    update public.whatsapp_instances set current_users = current_users - 1
    where id = old.whatsapp_instance_id;
    return old;
end $$;
create trigger give_back after delete on public.profiles for each row execute function public.give_back();
insert into public.whatsapp_instances
    (id, name, zapi_instance_id, zapi_token, zapi_client_token, current_users)
values ('00000000-0000-0000-0000-000000000001', 'Aura', 'I', 't', 'c', 7);
insert into public.profiles (user_id, name, whatsapp_instance_id)
select gen_random_uuid(), name, '00000000-0000-0000-0000-000000000001'
from unnest(array['Ana', 'Bia', 'Caio']) as name;
"""


@pytest.mark.parametrize(
    ("sign_ups", "numbers"),
    [
        pytest.param(200, 20, marks=pytest.mark.scoreboard("R8", tier="commit", small=True)),
        pytest.param(5000, 20, marks=[pytest.mark.slow, pytest.mark.scoreboard("R8", tier="landing")]),
    ],
)
def test_64_threads_fill_every_seat_and_not_one_more(
    world: World, connect: Connect, another: Worlds, sign_ups: int, numbers: int
) -> None:
    """Exactly as many people as seats: all placed, none over; the next one is told that there is no room."""
    for _ in range(numbers):
        world.number(seats=sign_ups // numbers)

    def sign_up(session: World, index: int) -> list[bool]:
        mine = range(index, sign_ups, 64)
        return [session.sign_up(f"55119{n:08d}")["no_room"] for n in mine]

    answers = all_at_once([connect() for _ in range(64)], sign_up)
    assert sum(map(len, answers)) == sign_ups
    assert not any(map(any, answers))
    assert world.rows(SEATS + " from public.whatsapp_instances where current_users = max_users") == [
        {"numbers": numbers, "people": sign_ups, "seats": sign_ups}
    ]
    first = another().sign_up("5511900000000")
    assert (first["already_exists"], first["no_room"]) == (True, False)
    assert another().sign_up("5521987654321")["no_room"] is True
    assert world.value("select sum(current_users) from public.whatsapp_instances") == sign_ups


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "delete", "in_pool", "agency_id"]), st.integers(0, 1000)), max_size=25
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(steps=STEPS)
@pytest.mark.own_database
def test_slots_stay_dense(world: World, steps: list[tuple[str, int]]) -> None:
    """Whatever is added, deleted or flipped, one or several at a time: slots 1..n, one per house number
    in the pool."""
    world.rows("delete from public.whatsapp_instances")
    for step, which in steps:
        some = f"where get_byte(uuid_send(id), 15) %% 3 = {which} %% 3"
        if step == "add":
            world.rows(
                "insert into public.whatsapp_instances"
                " (name, provider, evolution_instance_name, in_pool, agency_id)"
                " select 'n', 'evolution', gen_random_uuid(), g <> 2,"
                " case g when 3 then gen_random_uuid() end"
                " from generate_series(1, 1 + %s %% 4) as g",
                which,
            )
        elif step == "delete":
            world.rows(f"delete from public.whatsapp_instances {some}")
        elif step == "in_pool":
            world.rows(f"update public.whatsapp_instances set in_pool = not in_pool {some}")
        else:
            world.rows(
                "update public.whatsapp_instances set agency_id ="
                f" case when agency_id is null then gen_random_uuid() end {some}"
            )
        pool = world.value(
            "select count(*) from public.whatsapp_instances where in_pool and agency_id is null"
        )
        slots = world.rows(
            "select p.slot, i.in_pool and i.agency_id is null as drawable from messaging.pool_slots as p"
            " join public.whatsapp_instances as i on i.id = p.instance_id order by p.slot"
        )
        assert slots == [{"slot": n + 1, "drawable": True} for n in range(pool)]
