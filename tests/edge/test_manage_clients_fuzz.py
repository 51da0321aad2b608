"""manage-clients under bodies that nobody thought of: no 5xx, and nothing of another agency's changes."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from scripts.local_auth import LocalAuth
from shared.db import Database
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS
from tests.edge.mutations import VALUES
from tests.edge.office import PASSWORD, Office, local_auth, open_office

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

ACTIONS = ("list", "create", "update", "delete", "save_accounts")
FIELDS = ("action", "client_id", "client_label", "email", "password", "accounts")
ACCOUNT_FIELDS = ("ad_account_id", "account_name", "provider")
STATE = """
    select l.*, (select count(*) from public.client_ad_accounts as a where a.client_id = l.client_user_id)
    from public.client_manager_links as l where l.manager_id = %(agency)s order by l.client_user_id
"""


@pytest.fixture
def auth() -> Iterator[LocalAuth]:
    """The local sign-in."""
    with local_auth() as running:
        yield running


@pytest.fixture
def office(db: Database, auth: LocalAuth, logs: Logs) -> Iterator[Office]:
    """A gateway, and the manager of an agency with two clients; no request may end as an internal error."""
    with open_office(db, auth) as opened:
        yield opened
    assert logs.named("request.failed") == []


@pytest.fixture
def other(office: Office) -> Office:
    """Another agency's manager."""
    return office.as_another()


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_body_is_a_5xx_or_touches_another_agency(
    office: Office, other: Office, db: Database, data: DataObject
) -> None:
    """A good body with anything in any field: 200 or a 4xx that says what to change."""
    before = db.rows(STATE, {"agency": other.agency.manager})
    body = data.draw(_bodies(office, other))
    answer = office.http.post(
        f"{FUNCTIONS}/manage-clients",
        content=json.dumps(body).encode(),
        headers={"authorization": f"Bearer {office.token}"},
    )
    assert answer.status_code in (200, 400, 403, 404, 409), (body, answer.text)
    assert answer.status_code == 200 or answer.json()["error"]
    assert db.rows(STATE, {"agency": other.agency.manager}) == before


@st.composite
def _bodies(draw: st.DrawFn, office: Office, other: Office) -> dict[str, Any]:
    ids = [*map(str, office.agency.clients), *map(str, other.agency.clients), str(other.agency.manager)]
    body: dict[str, Any] = {
        "action": draw(st.sampled_from(ACTIONS)),
        "client_id": draw(st.sampled_from(ids)),
        "client_label": "Padaria",
        "email": draw(st.sampled_from(["a@example.com", f"{other.agency.manager}@example.com"])),
        "password": PASSWORD,
        "accounts": [{"ad_account_id": "act_1", "account_name": "Loja"}],
    }
    changed = copy.deepcopy(body)
    for field in draw(st.sets(st.sampled_from(FIELDS[1:] if draw(st.booleans()) else FIELDS), max_size=3)):
        changed[field] = draw(VALUES)
    if isinstance(changed["accounts"], list) and draw(st.booleans()):
        changed["accounts"] = [
            {field: draw(st.one_of(VALUES, st.just("act_2"))) for field in ACCOUNT_FIELDS}
            for _ in range(draw(st.integers(0, 3)))
        ]
    return changed
