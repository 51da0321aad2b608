"""S13: another site changes nothing. Every combination of what browsers say of where a request comes from,
the cookies, and that looking never changes anything."""

import itertools
import re
from collections.abc import Iterator

import httpx
import pytest
from psycopg import sql

from edge.pages.page import Page
from edge.pages.routes import ROUTES
from shared.db import Database
from shared.settings import Settings
from tests.edge.gateway import serving
from tests.pages.office import Office
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.scoreboard("S13", tier="commit")

CLIENT = "Padaria Sol"
PUBLIC = "https://roleta.example"
SITES = ("same-origin", "none", "same-site", "cross-site", "something new", None)
OUR_SITES = ("same-origin", "none", None)
OURS, FOREIGN = "ours", "https://evil.example"
ORIGINS = (OURS, FOREIGN, "null", None)
# Origins that nearly look like http://127.0.0.1:<port>.
NEARLY = (
    "http://127.0.0.1",
    "http://127.0.0.1:{other_port}",
    "http://127.0.0.1.evil.example:{port}",
    "http://127.0.0.1:{port}@evil.example",
    "http://evil.example/127.0.0.1:{port}",
    "http://localhost:{port}",
    "ftp://127.0.0.1:{port}",
    "127.0.0.1:{port}",
    "",
)
_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
_TABLES = """
    select n.nspname as schema_name, c.relname as table_name
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
    where n.nspname in ('public', 'messaging') and c.relkind = 'r'
    order by 1, 2
"""


def headers_of(office: Office, site: str | None, origin: str | None) -> dict[str, str]:
    """What a browser sends along."""
    given = {"Sec-Fetch-Site": site, "Origin": office.address if origin == OURS else origin}
    return {name: value for name, value in given.items() if value is not None}


def label(office: Office) -> str:
    """What the form of these tests changes."""
    found = office.db.rows(
        "select client_label from public.client_manager_links where client_user_id = %(client)s",
        {"client": office.manager.clients[CLIENT]},
    )
    return str(found[0]["client_label"])


def contents(office: Office) -> dict[str, str]:
    """Every table of the product, as one hash each."""
    found = {}
    for row in office.db.rows(_TABLES):
        name = sql.Identifier(row["schema_name"], row["table_name"])
        query = sql.SQL(
            "select coalesce(md5(string_agg(t::text, ' ' order by t::text)), '') as hash from {} as t"
        )
        rows = office.db.rows(query.format(name).as_string(None))
        found[name.as_string(None)] = str(rows[0]["hash"])
    return found


def test_a_form_is_taken_from_our_own_pages_alone(office: Office, visitor: Visitor) -> None:
    """24 combinations of Sec-Fetch-Site and Origin, each with the right cookies and the right token: taken
    where both say that it is us, or say nothing; refused otherwise, and nothing has changed."""
    path = office.path(CLIENT, "edit")
    token = visitor.token(path)
    for place, (site, origin) in enumerate(itertools.product(SITES, ORIGINS)):
        is_ours = site in OUR_SITES and origin in (OURS, None)
        before, asked = label(office), f"Padaria {place}"
        answer = visitor.http.post(
            path, data={"csrf": token, "label": asked}, headers=headers_of(office, site, origin)
        )

        assert answer.status_code == (303 if is_ours else 403), (site, origin)
        assert label(office) == (asked if is_ours else before), (site, origin)
        assert ("Formulário vencido" in answer.text) is not is_ours


def test_an_origin_that_nearly_looks_like_ours__refused(office: Office, visitor: Visitor) -> None:
    """Another port, another scheme, our name inside another one: none of them is us."""
    path, port = office.path(CLIENT, "edit"), office.settings.gateway_port
    token = visitor.token(path)
    for nearly in NEARLY:
        origin = nearly.format(port=port, other_port=port + 1)
        answer = visitor.http.post(path, data={"csrf": token, "label": "Outra"}, headers={"Origin": origin})

        assert (answer.status_code, label(office)) == (403, CLIENT), origin


def test_nothing_but_post_changes_anything(office: Office, visitor: Visitor) -> None:
    """GET answers whoever links to us, with a form's fields in its address too, and changes no row of any
    table; no other method is taken."""
    token = visitor.token("/agency")
    query = f"?csrf={token}&label=Outra&sure=on&decision=resend&phone=11987654321&frequency=daily"
    before = contents(office)
    for (route, page), site in itertools.product(ROUTES, ("cross-site", "same-origin")):
        if page.get is Page.get:
            continue
        path = route.format(client_id=office.manager.clients[CLIENT], message_id=1, decision="resend")
        answer = visitor.get(path + query, headers=headers_of(office, site, None))
        assert answer.status_code in (200, 303, 404), path
    for method in ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = visitor.http.request(method, office.path(CLIENT, "remove") + query)
        assert (answer.status_code == 405) or (method == "OPTIONS" and answer.text == ""), method

    assert contents(office) == before
    assert office.evolution.instances() == []


@pytest.fixture
def at_home(unconnected: Database, office: Office) -> Iterator[httpx.Client]:
    """A gateway that is reached over https from outside; the proxy before it is left out."""
    settings = Settings(auth_url=office.auth.url, supabase_anon_key="local", public_base_url=PUBLIC)
    with serving(unconnected, settings, []) as client:
        client.headers["Host"] = "roleta.example"
        yield client


def test_cookies_on_https_belong_to_this_host_alone(at_home: httpx.Client) -> None:
    """The prefix __Host-, Secure, HttpOnly, SameSite=Lax, no domain: and a cookie without the prefix, which
    a sibling domain or somebody on the wire can set, counts for nothing."""
    [cookie] = at_home.get("/sign-in").headers.get_list("set-cookie")
    assert cookie.startswith("__Host-roleta_form=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Secure"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()

    planted = "p" * 40
    answer = at_home.get("/sign-in", headers={"Cookie": f"roleta_form={planted}"})
    assert answer.headers["set-cookie"].startswith("__Host-roleta_form=")
    kept = at_home.get("/sign-in", headers={"Cookie": f"__Host-roleta_form={planted}"})
    assert "set-cookie" not in kept.headers


def test_over_http_cookies_have_no_prefix_that_browsers_refuse(office: Office, stranger: Visitor) -> None:
    """On loopback without TLS: HttpOnly, SameSite=Lax, whole site, neither Secure nor __Host-."""
    [cookie] = stranger.get("/sign-in").headers.get_list("set-cookie")

    assert cookie.startswith("roleta_form=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie.split("; ")


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        (PUBLIC, True),
        ("HTTPS://ROLETA.EXAMPLE", True),
        (None, True),
        ("http://roleta.example", False),
        ("https://roleta.example:8443", False),
        ("https://www.roleta.example", False),
        ("https://roleta.example.evil.example", False),
        ("null", False),
    ],
    ids=str,
)
def test_on_https_our_origin_is_https(at_home: httpx.Client, origin: str | None, is_ours: bool) -> None:
    """Where the pages are known to be on https, a form from http on the same host is somebody else's."""
    page = at_home.get("/sign-in")
    found = _TOKEN.search(page.text)
    assert found is not None
    headers = {"Cookie": page.headers["set-cookie"].partition(";")[0]} | (
        {"Origin": origin} if origin else {}
    )
    answer = at_home.post("/sign-in", data={"csrf": found[1]}, headers=headers)

    # An empty form of ours is taken, and told what is missing.
    assert answer.status_code == (400 if is_ours else 403)
