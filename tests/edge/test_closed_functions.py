"""Bug 22 over the real table of functions: what only the service, or a schedule, may call is closed."""

import httpx
import psycopg
import pytest

from edge.functions import load_functions
from shared.db import Database
from tests.database.actions import FUNCTIONS as FUNCTIONS_OF_THE_SERVICE
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, Number, stored

CLOSED = [each.slug for each in load_functions() if each.caller in ("service", "cron")]
USERS = {each.slug for each in load_functions() if each.caller == "user"}
OPEN = {"start-trial", "stripe-webhook", "webhook-zapi", "webhook-evolution"}
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer anon"},
    {"authorization": f"Bearer {SERVICE_KEY[:-1]}"},
    {"authorization": f"Bearer {SERVICE_KEY} and more"},
    {"authorization": f"Basic {SERVICE_KEY}"},
    {"apikey": SERVICE_KEY},
    {"x-cron-secret": SERVICE_KEY},
)


@pytest.mark.scoreboard("S4", tier="commit")
def test_only_four_doors_for_strangers_are_open() -> None:
    """A sign-up, and webhooks that authenticate by themselves; whatever is added later is closed, or asks for
    a person's token (test_user_callers.py)."""
    assert {each.slug for each in load_functions()} - set(CLOSED) - USERS == OPEN


@pytest.mark.scoreboard("S4", tier="commit")
@pytest.mark.parametrize("slug", CLOSED)
def test_bug_22_cron_and_service_functions_ask_for_the_whole_service_key(
    client: httpx.Client, db: Database, number: Number, slug: str
) -> None:
    """In the original anybody who knew the address could run them; here a 401 before the body is read."""
    before = stored(db)
    for headers in HEADERS:
        for content in (b"{}", b"no json"):
            answer = client.post(f"{FUNCTIONS}/{slug}", content=content, headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"}), headers
    assert stored(db) == before


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_bug_22_no_function_of_the_pool_may_be_executed_by_people(
    db: Database, database_url: str, role: str
) -> None:
    """Sign-up helpers, audiences and all others: refused to whoever holds only the page's key. What a person
    may call beside them looks who asks (tests/database/test_grants.py lists it)."""
    allowed = db.rows(
        "select p.proname::text as name from pg_proc as p"
        " where (p.pronamespace = 'messaging'::regnamespace or p.proname = 'allocate_whatsapp_instance')"
        " and has_function_privilege(%(role)s, p.oid, 'execute')",
        {"role": role},
    )
    names = {row["name"] for row in allowed}
    assert names & (set(FUNCTIONS_OF_THE_SERVICE) | {"allocate_whatsapp_instance"}) == set()
    assert role == "authenticated" or names == set()
    with psycopg.connect(database_url) as connection:
        connection.execute(f"set role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select messaging.sign_up('Ana', '5511987650001', null, 'Oi', 'a stranger')")
