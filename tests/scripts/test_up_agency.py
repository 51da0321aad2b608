"""The sample agency of `roleta up`: its manager signs in, a phone is played; not beside a real database."""

import re
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from scripts.embedded import bootstrap_supabase
from scripts.sample_agency import CLIENTS, MANAGER_EMAIL, client_id
from tests.scripts.roleta import Roleta, RunningRoleta, ended
from tests.servers import fresh_database
from tests.waiting import eventually

pytestmark = pytest.mark.slow
FUNCTION = "/functions/v1/evolution-whatsapp"


@pytest.fixture
def up(bare_roleta: Roleta) -> Iterator[RunningRoleta]:
    """A running sample."""
    with ended(bare_roleta.started("up", "--port", "0", "--speed", "1")) as running:
        yield running


def signed_in(running: RunningRoleta) -> httpx.Client:
    """A browser of the sample's manager, with the address and the password that `up` shows."""
    running.hears("password")
    found = re.search(r"agency: (http\S+)/agency\s+(\S+)\s+password (\S+)", running.said)
    assert found is not None, running.said
    address, email, password = found.groups()
    assert email == MANAGER_EMAIL
    client = httpx.Client(base_url=address, follow_redirects=True, timeout=30)
    form = client.get("/sign-in")
    csrf = re.search(r'name="csrf" value="([^"]+)"', form.text)
    assert csrf is not None
    page = client.post(
        "/sign-in",
        data={"email": email, "password": password, "csrf": csrf[1], "next": "/agency"},
        headers={"Origin": address},
    )
    assert page.url.path == "/agency", page.text
    return client


def act(client: httpx.Client, action: str, **fields: str) -> httpx.Response:
    """One action of the function, with the token of the page's own session."""
    token = client.cookies["roleta_access"]
    return client.post(
        FUNCTION, json={"action": action, **fields}, headers={"Authorization": f"Bearer {token}"}
    )


def test_a_stranger_connects_a_client_with_the_commands_that_are_shown(
    up: RunningRoleta, bare_roleta: Roleta
) -> None:
    """Sign in, see eight clients, connect one, play its phone: connected; the phone removes it: no more."""
    with closing(signed_in(up)) as client:
        page = client.get("/agency").text
        assert [label for label, *_ in CLIENTS if label.replace("&", "&amp;") not in page] == []

        padaria = str(client_id(0))
        assert act(client, "create-instance", client_id=padaria).json()["success"] is True
        assert "was scanned" in bare_roleta.well("simulator", "scan", "padaria")
        eventually(
            lambda: act(client, "check-status", client_id=padaria).json()["connected"], 10, "the connection"
        )
        assert "removed the device" in bare_roleta.well("simulator", "remove", "padaria")
        eventually(
            lambda: not act(client, "check-status", client_id=padaria).json()["connected"], 10, "its end"
        )
        assert "0 connections match 'nobody'" in bare_roleta.refused("simulator", "scan", "nobody")
    assert up.asked_to_stop() == 0


def _up_with(roleta: Roleta, database_url: str) -> RunningRoleta:
    bootstrap_supabase(database_url)
    return roleta.started("up", "--port", "0", DATABASE_URL=database_url)


def test_the_local_sign_in_is_refused_where_the_database_is_real(
    bare_roleta: Roleta, server_url: str
) -> None:
    """With DATABASE_URL set there is no password, no sample agency and nobody who could sign in."""
    with (
        fresh_database(server_url) as url,
        ended(_up_with(bare_roleta, url)) as running,
    ):
        running.hears("roleta is ready")
        assert "password" not in running.said and MANAGER_EMAIL not in running.said
        address = re.search(r"(http://127\.0\.0\.1:\d+)/functions", running.said)
        assert address is not None
        page = httpx.get(f"{address[1]}/sign-in", timeout=30)
        assert "SUPABASE_URL" in page.text and 'name="password"' not in page.text
        assert "no sample agency" in bare_roleta.refused("simulator", "scan", "padaria")
        assert running.asked_to_stop() == 0


def test_the_phone_is_only_played_beside_a_running_sample(bare_roleta: Roleta) -> None:
    """Without `up` one line says what to start."""
    assert "no sample agency is running here" in bare_roleta.refused("simulator", "scan", "padaria")
    assert "say whose phone" in bare_roleta.refused("simulator", "scan")
