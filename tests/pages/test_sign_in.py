"""Who gets to the pages: signing in, staying signed in, signing out."""

import httpx
import pytest

from edge.pages.sign_in import own_path
from shared.db import Database
from shared.settings import Settings
from tests.edge.gateway import NO_AUTHORITIES, serving
from tests.pages.office import PASSWORD, Office
from tests.pages.visitor import Visitor


def test_signing_in_leads_to_the_agency(visitor: Visitor) -> None:
    """Whoever has signed in sees the clients."""
    answer = visitor.get("/agency")

    assert answer.status_code == 200
    assert "Padaria Sol" in answer.text


def test_a_wrong_password_is_one_sentence__refused(stranger: Visitor) -> None:
    """The same sentence for a known e-mail and an unknown one; the password is not repeated."""
    for email in ("marina@agencia.example", "ninguem@agencia.example"):
        answer = stranger.post("/sign-in", {"email": email, "password": "não é esta"})

        assert answer.status_code == 401
        assert "E-mail ou senha não conferem." in answer.text
        assert email in answer.text
        assert "não é esta" not in answer.text
        assert "roleta_access" not in stranger.http.cookies


def test_nothing_filled_in__refused(stranger: Visitor) -> None:
    """An empty form is answered without asking the auth service."""
    answer = stranger.post("/sign-in", {"email": "", "password": ""})

    assert (answer.status_code, "Preencha o e-mail e a senha." in answer.text) == (400, True)


def test_who_is_not_signed_in_is_led_to_the_form_and_back(office: Office, stranger: Visitor) -> None:
    """A page that needs somebody leads to the sign-in, and the sign-in back to that page."""
    asked = stranger.get("/connections?x=1")

    assert asked.status_code == 303
    form = stranger.get(asked.headers["location"])
    assert 'name="next" value="/connections?x=1"' in form.text

    signed_in = stranger.post(
        "/sign-in",
        {"email": office.manager.email, "password": PASSWORD, "next": "/connections?x=1"},
    )
    assert signed_in.headers["location"] == "/connections?x=1"


@pytest.mark.parametrize("own", ["/agency", "/clients/1/report?sent=2", "/connections?x=1&y=%C3%A7#z"])
def test_a_path_of_ours_is_followed(own: str) -> None:
    """Whoever was on their way to a page gets there."""
    assert own_path(own) == own


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/a\\b",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "/\t/evil.example",
        "/ç",
        "",
        None,
        "/" + "a" * 600,
    ],
)
def test_another_site_is_not__refused(elsewhere: str | None) -> None:
    """Anything but a plain path of ours leads to the agency."""
    assert own_path(elsewhere) == "/agency"


def test_our_script_is_told_that_nobody_is_signed_in__refused(stranger: Visitor) -> None:
    """A poll gets 401 and the way to the form, not a page."""
    answer = stranger.get("/agency/status.json")

    assert answer.status_code == 401
    assert answer.json()["sign_in"] == "/sign-in"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(office: Office, visitor: Visitor) -> None:
    """HttpOnly, SameSite=Lax, for the whole site; not Secure over plain HTTP."""
    token = visitor.token("/agency")
    fresh = httpx.get(f"{office.address}/sign-in", verify=NO_AUTHORITIES)

    signed_out = visitor.http.post("/sign-out", data={"csrf": token})
    cookies = fresh.headers.get_list("set-cookie") + signed_out.headers.get_list("set-cookie")
    assert len(cookies) == 4
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie


def test_cookies_are_secure_where_the_gateway_is_reached_by_https(
    unconnected: Database, office: Office
) -> None:
    """With ROLETA_PUBLIC_URL on https no cookie travels in the clear."""
    settings = Settings(
        auth_url=office.auth.url, supabase_anon_key="local", public_base_url="https://roleta.example"
    )
    with serving(unconnected, settings, []) as client:
        cookies = client.get("/sign-in").headers.get_list("set-cookie")

    assert cookies
    assert all("Secure" in cookie.split("; ") for cookie in cookies)


def test_an_expired_token_is_renewed_without_asking(office: Office, visitor: Visitor) -> None:
    """Whoever stays at work is not sent to the form: the refresh token gives new ones."""
    before = visitor.http.cookies["roleta_refresh"]
    visitor.http.cookies.set("roleta_access", "expired", domain="127.0.0.1", path="/")

    assert visitor.get("/agency").status_code == 200
    assert visitor.http.cookies["roleta_refresh"] != before


def test_two_polls_with_one_expired_token_both_go_on(office: Office, visitor: Visitor) -> None:
    """Two requests that come with the same used-up tokens get the same new ones."""
    refresh = visitor.http.cookies["roleta_refresh"]
    tokens = []
    for _ in range(2):
        with httpx.Client(base_url=office.address, verify=NO_AUTHORITIES) as http:
            http.cookies.set("roleta_refresh", refresh)
            assert http.get("/agency/status.json").status_code == 200
            tokens.append(http.cookies["roleta_access"])

    assert tokens[0] == tokens[1]


def test_signing_out_ends_it(office: Office, visitor: Visitor) -> None:
    """After signing out the browser is a stranger, also with a copy of its refresh token."""
    refresh = visitor.http.cookies["roleta_refresh"]

    assert visitor.post("/sign-out", on="/agency").headers["location"] == "/sign-in"
    assert visitor.get("/agency").status_code == 303
    visitor.http.cookies.set("roleta_refresh", refresh, domain="127.0.0.1", path="/")
    assert visitor.get("/agency").status_code == 303


def test_who_is_no_manager_is_told_so__refused(office: Office, stranger: Visitor) -> None:
    """A client of the agency may sign in, and sees a page that says whose area this is."""
    office.auth.accounts.add("cliente@padaria.example", PASSWORD)
    stranger.post("/sign-in", {"email": "cliente@padaria.example", "password": PASSWORD})

    for path in ("/agency", "/connections", "/reports", "/clients/new"):
        answer = stranger.get(path)
        assert (answer.status_code, "Esta área é dos gestores" in answer.text) == (403, True), path


def test_a_sign_in_that_is_not_set_up_says_what_to_set(unconnected: Database) -> None:
    """Without an auth service the form is not shown; the operator reads which variables are missing."""
    with serving(unconnected, Settings(), []) as client:
        assert client.get("/agency").headers["location"].startswith("/sign-in")
        answer = client.get("/sign-in")

    assert answer.status_code == 503
    assert "SUPABASE_URL" in answer.text and "SUPABASE_ANON_KEY" in answer.text
    assert "<form" not in answer.text


def test_an_auth_service_that_is_away_is_said(office: Office, stranger: Visitor) -> None:
    """Signing in while the service is away is a sentence, not an error."""
    token = stranger.token("/sign-in")
    office.auth.close()
    answer = stranger.http.post(
        "/sign-in", data={"csrf": token, "email": office.manager.email, "password": PASSWORD}
    )

    assert answer.status_code == 503
    assert "não responde agora" in answer.text


def test_too_many_tries_are_said(stranger: Visitor) -> None:
    """Guessing is slowed down by the auth service, in words."""
    for _ in range(6):
        answer = stranger.post("/sign-in", {"email": "a@b.example", "password": "x"})

    assert (answer.status_code, "Muitas tentativas" in answer.text) == (429, True)
