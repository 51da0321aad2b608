"""Agencies' connections over adopted projects: odd rows, missing constraints, rights that the app gave."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from scripts.migrate import apply_all, rollback
from tests.database.world import World
from tests.migration.projects import Project, project, silent

AGENCY = UUID("a0000000-0000-4000-8000-000000000001")
CLIENT = UUID("c0000000-0000-4000-8000-000000000001")
HOUSE = "00000000-0000-4000-8000-000000000001"
UNIQUE_LINKS = (
    "alter table public.client_manager_links drop constraint client_manager_links_client_user_id_key"
)
REFUSED = "42501"


@pytest.fixture
def adopted(server_url: str) -> Iterator[Project]:
    """A project with people in it, of a plain owner, not migrated yet."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        yield found


def change(found: Project, *statements: LiteralString) -> None:
    """What else the project had."""
    with found.connect() as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def session(found: Project) -> Iterator[World]:
    """Its owner, who asks as the agency's manager."""
    with psycopg.connect(found.url, autocommit=True) as connection:
        world = World(connection)
        world.rows(
            "insert into public.user_roles (user_id, role) values (%s, 'admin') on conflict do nothing",
            AGENCY,
        )
        world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(AGENCY)}))
        yield world


def migrated_twice(found: Project) -> None:
    """Up, down, and up again: both ways with the same rows."""
    data = found.data()
    apply_all(found.url, silent)
    rollback(found.url, "all", say=silent)
    assert found.data() == data
    apply_all(found.url, silent)


def test_a_connection_in_an_unknown_state_is_adopted_as_it_is(adopted: Project) -> None:
    """Another word than our three, or none: it migrates, reads as never open, and is set right when begun."""
    change(
        adopted,
        "insert into public.whatsapp_connections (agency_id, instance_name, status) values"
        " ('a0000000-0000-4000-8000-000000000003', 'adscape_x', 'error'),"
        " ('a0000000-0000-4000-8000-000000000004', 'adscape_y', null)",
    )
    migrated_twice(adopted)
    with session(adopted) as world:
        kept = world.rows(
            "select status from public.whatsapp_connections where instance_name like 'adscape__'"
        )
        assert sorted(str(row["status"]) for row in kept) == ["None", "error"]
        for name in ("adscape_x", "adscape_y"):
            agency = world.value(
                "select agency_id from public.whatsapp_connections where instance_name = %s", name
            )
            world.rows("insert into public.user_roles (user_id, role) values (%s, 'admin')", agency)
            world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(agency)}))
            assert world.value("select status from messaging.own_connection(null)") == "pending"
            begun = world.rows("select * from messaging.begin_connection(null)")[0]
            # Its number, whatever we would have called it.
            assert begun["instance_name"] == name
            world.rows("select messaging.record_health(%s, true)", begun["instance_id"])
            assert world.value("select status from messaging.own_connection(null)") == "connected"


def test_links_without_their_constraint_get_it(adopted: Project) -> None:
    """What refers to a client needs each of them once."""
    change(adopted, UNIQUE_LINKS)
    migrated_twice(adopted)
    with session(adopted) as world:
        twice = "insert into public.client_manager_links (client_user_id, manager_id) values (%s, %s)"
        assert world.refusal(twice, CLIENT, AGENCY) == "23505"


def test_clients_that_stand_twice_are_told_of_before_anything_is_changed(adopted: Project) -> None:
    """Which of the two managers is right, a person says."""
    change(
        adopted,
        UNIQUE_LINKS,
        "insert into public.client_manager_links (client_user_id, manager_id)"
        " select client_user_id, gen_random_uuid() from public.client_manager_links",
    )
    with pytest.raises(Exception, match="client_manager_links holds duplicates"):
        apply_all(adopted.url, silent)


def test_a_table_of_settings_of_the_app_s_own_gets_what_it_lacks(adopted: Project) -> None:
    """The name is an everyday one; our columns come beside the app's."""
    change(
        adopted,
        "create table public.agency_settings (id uuid primary key, owner_id uuid, logo text)",
        "insert into public.agency_settings values (gen_random_uuid(), gen_random_uuid(), 'logo.png')",
    )
    migrated_twice(adopted)
    with session(adopted) as world:
        assert world.rows("select client_id from messaging.agency_connections()")[0]["client_id"] is None


def test_a_connection_of_another_provider_is_nobody_s_voice_until_begun(adopted: Project) -> None:
    """What is left of the app's first provider reads as a row without a number, and becomes one of ours."""
    change(adopted, "update public.whatsapp_connections set provider = 'meta'")
    migrated_twice(adopted)
    with session(adopted) as world:
        assert world.value("select count(*) from public.whatsapp_instances where provider = 'evolution'") == 0
        assert world.value("select instance_id from messaging.choose_speaker(%s, null)", AGENCY) is None
        world.rows("select * from messaging.begin_connection(null)")
        row = world.rows(
            "select provider, status from public.whatsapp_connections where agency_id = %s", AGENCY
        )[0]
        assert row == {"provider": "evolution", "status": "pending"}


@pytest.mark.parametrize("victim", ["the house", "another agency"])
def test_a_row_of_one_s_own_takes_hold_of_nobody_s_number(adopted: Project, victim: str) -> None:
    """The app's policy lets a signed-in person write connections: written with the id of a foreign number
    and deleted again, such a row silenced it and withdrew all that waited there."""
    apply_all(adopted.url, silent)
    with session(adopted) as world:
        number = HOUSE
        if victim == "another agency":
            number = world.value("select instance_id from messaging.begin_connection(null)")
            world.rows("select messaging.record_health(%s, true)", number)
            world.rows("delete from public.whatsapp_connections where agency_id <> %s", AGENCY)
        stranger = uuid4()
        forge = (
            "insert into public.whatsapp_connections (agency_id, status, whatsapp_instance_id)"
            " values (%s, 'connected', %s)"
        )
        # Not even the service, which row security lets through, joins what belongs to two.
        assert world.refusal(forge, stranger, number) in ("WP004", "23505")
        claims = json.dumps({"sub": str(stranger), "role": "authenticated"})
        world.rows("select set_config('request.jwt.claims', %s, false)", claims)
        with psycopg.connect(adopted.superuser_url, autocommit=True) as other:
            person = World(other)
            person.rows("set role authenticated")
            person.rows("select set_config('request.jwt.claims', %s, false)", claims)
            person.rows("select set_config('request.jwt.claim.sub', %s, false)", str(stranger))
            assert person.refusal(forge, stranger, number) == REFUSED
            # The row itself is the app's to give; what makes it a voice is not.
            person.rows("insert into public.whatsapp_connections (agency_id) values (%s)", stranger)
            for setter in (f"whatsapp_instance_id = '{number}'", "first_connected_at = now()"):
                assert person.refusal(f"update public.whatsapp_connections set {setter}") == REFUSED
            person.rows("update public.whatsapp_connections set agency_id = agency_id, status = 'connected'")
            person.rows("delete from public.whatsapp_connections")
        assert world.instance(UUID(str(number)))["status"] == "active"


def test_a_client_reads_no_token_of_its_agency_s(adopted: Project) -> None:
    """The app's rows of connections hold one, and its own policy shows them to the manager alone."""
    change(
        adopted,
        "alter table public.whatsapp_connections drop constraint whatsapp_connections_agency_id_key,"
        " drop constraint whatsapp_connections_client_id_fkey",
        "insert into public.whatsapp_connections (agency_id, client_id, access_token) select manager_id,"
        " client_user_id, 'a-token' from public.client_manager_links",
    )
    apply_all(adopted.url, silent)
    for person, rows in ((CLIENT, 0), (AGENCY, 2)):
        with psycopg.connect(adopted.superuser_url, autocommit=True) as connection:
            world = World(connection)
            world.rows("set role authenticated")
            world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(person)}))
            assert len(world.rows("select access_token from public.whatsapp_connections")) == rows


def test_numbers_that_outlive_a_rollback_are_taken_back(server_url: str) -> None:
    """Rolled back with --discard-data, it migrates again, and the numbers keep their names."""
    with project(server_url) as found:
        apply_all(found.url, silent)
        with session(found) as world:
            begun = world.rows("select * from messaging.begin_connection(null)")[0]
            world.rows("select messaging.record_health(%s, true)", begun["instance_id"])
        rollback(found.url, "0048.rule_audit", say=silent, discard_data=True)
        apply_all(found.url, silent)
        with session(found) as world:
            name = world.value(
                "select evolution_instance_name from public.whatsapp_instances where id = %s",
                begun["instance_id"],
            )
            assert name == begun["instance_name"]
            again = world.rows("select * from messaging.begin_connection(null)")[0]
            assert again["instance_id"] == begun["instance_id"]
