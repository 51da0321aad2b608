"""An agency's clients over an adopted project: an enum of roles that knows no client, links of its own."""

import json
from uuid import UUID, uuid4

import psycopg

from scripts.migrate import apply_all
from tests.database.world import World
from tests.migration.projects import project, silent

ADMIN = UUID("10000000-0000-4000-8000-000000000001")


def test_clients_are_added_and_removed_in_a_project_that_was_there_before(each_server_url: str) -> None:
    """Where the app's roles know no client, the link alone says who it is; a removal takes what hangs on it,
    the app's own rows of other agencies stay."""
    with project(each_server_url, plain_owner=True, adopted=True) as found:
        apply_all(found.url, silent)
        with psycopg.connect(found.url, autocommit=True) as connection:
            world, client = World(connection), uuid4()
            before = world.value("select count(*) from public.client_manager_links")
            world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(ADMIN)}))
            world.rows("select messaging.add_client(%s, %s, 'Ana@Example.com', ' Ana ')", ADMIN, client)
            assert (
                world.refusal("select messaging.add_client(%s, %s, 'x@y.z', 'Ana')", ADMIN, client) == "WP004"
            )
            accounts = json.dumps([{"ad_account_id": "act_1", "account_name": "Loja"}])
            assert world.value("select messaging.save_accounts(%s, %s)", client, accounts) == 1
            world.rows("select messaging.rename_client(%s, 'Ana Lima')", client)
            [listed] = world.rows("select * from messaging.list_clients()")
            assert (listed["client_id"], listed["client_label"]) == (client, "Ana Lima")
            assert (listed["client_email"], len(listed["accounts"])) == ("ana@example.com", 1)
            world.rows("select * from messaging.begin_connection(%s)", client)
            [gone] = world.rows("select * from messaging.remove_client(%s)", client)
            assert gone["instance_name"] == f"adscape_c_{client.hex[:16]}"
            assert world.rows("select * from messaging.list_clients()") == []
            assert world.value("select count(*) from public.client_manager_links") == before
            assert world.value("select count(*) from public.whatsapp_connections") == 2
            assert world.value("select count(*) from public.client_ad_accounts") == 0
            foreign = "c0000000-0000-4000-8000-000000000001"
            assert world.refusal("select * from messaging.remove_client(%s)", foreign) == "WP002"
            assert world.findings() == set()
