"""Who gets to the pages: signing in, staying signed in, signing out."""

import time
from collections.abc import Mapping

import httpx
import jwt
import pytest

from edge.pages import session
from edge.pages.sign_in import own_path
from scripts.local_accounts import Accounts, Refused
from shared.db import Database
from shared.settings import Settings
from shared.sign_in import SignIn
from tests.edge.gateway import NO_AUTHORITIES, serving
from tests.pages.office import PASSWORD, Office
from tests.pages.visitor import Visitor


def came_with(office: Office, path: str, cookies: Mapping[str, str]) -> httpx.Response:
    """What a browser with these very cookies is answered."""
    sent = "; ".join(f"roleta_{name}={value}" for name, value in cookies.items())
    return httpx.get(f"{office.address}{path}", headers={"Cookie": sent}, verify=NO_AUTHORITIES)


def sessions_at(accounts: Accounts) -> int:
    """How many sign-ins go on at the auth service."""
    return len(accounts._sessions)


def aged(accounts: Accounts, access: str) -> str:
    """The same access token, five seconds after its end."""
    claims = jwt.decode(access, options={"verify_signature": False}) | {"exp": int(time.time()) - 5}
    return jwt.encode(claims, accounts._key, algorithm="ES256", headers={"kid": accounts._key_id})


def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the auth service renews nothing: it was asked too often."""

    def refuse(_accounts: Accounts, _token: str) -> None:
        raise Refused(429, "over_request_rate_limit", "Request rate limit reached")

    monkeypatch.setattr(Accounts, "refresh", refuse)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refresh tokens that the auth service is asked about, as they come."""
    tokens: list[str] = []
    refresh = Accounts.refresh

    def counted(accounts: Accounts, token: str) -> object:
        tokens.append(token)
        return refresh(accounts, token)

    monkeypatch.setattr(Accounts, "refresh", counted)
    return tokens


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


@pytest.mark.parametrize("access", ["expired", None])
def test_signing_out_ends_a_session_whose_access_token_is_old_or_gone(
    office: Office, visitor: Visitor, access: str | None
) -> None:
    """The session that the request renewed is ended: nothing of it is left at the auth service, neither a
    copy of the refresh token nor another tab's poll with the old cookies leads in again."""
    token, cookies = visitor.token("/agency"), visitor.http.cookies
    old = {"access": access or "", "refresh": cookies["roleta_refresh"], "form": cookies["roleta_form"]}
    cookies.delete("roleta_access")
    if access is not None:
        cookies.set("roleta_access", access, domain="127.0.0.1", path="/")

    assert visitor.http.post("/sign-out", data={"csrf": token}).headers["location"] == "/sign-in"

    assert sessions_at(office.auth.accounts) == 0
    assert came_with(office, "/agency/status.json", old).status_code == 401
    copied = came_with(office, "/agency", {"refresh": old["refresh"]})
    assert (copied.status_code, copied.headers["location"]) == (303, "/sign-in?next=/agency")


def test_signing_out_ends_a_session_that_is_old_by_the_service_s_clock_alone(
    office: Office, visitor: Visitor
) -> None:
    """A token that we still take and the auth service does not is renewed to end its session."""
    token, access = visitor.token("/agency"), visitor.http.cookies["roleta_access"]
    old = aged(office.auth.accounts, access)
    visitor.http.cookies.set("roleta_access", old, domain="127.0.0.1", path="/")

    assert visitor.http.post("/sign-out", data={"csrf": token}).status_code == 303
    assert sessions_at(office.auth.accounts) == 0


def test_another_tab_s_tokens_end_with_the_session(office: Office, visitor: Visitor) -> None:
    """What a poll renewed a moment before the sign-out is given to no later poll."""
    refresh = visitor.http.cookies["roleta_refresh"]
    visitor.http.cookies.set("roleta_access", "expired", domain="127.0.0.1", path="/")
    assert visitor.get("/agency").status_code == 200

    visitor.post("/sign-out", on="/agency")

    assert came_with(office, "/agency/status.json", {"refresh": refresh}).status_code == 401


def test_a_tab_that_polls_while_the_session_ends_renews_nothing(
    office: Office, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session still lasts at the auth service then, and its refresh token would be forgiven."""
    refresh, end, polls = visitor.http.cookies["roleta_refresh"], SignIn.end, []

    def polled(sign_in: SignIn, access_token: str) -> None:
        polls.append(came_with(office, "/agency/status.json", {"refresh": refresh}).status_code)
        end(sign_in, access_token)

    monkeypatch.setattr(SignIn, "end", polled)
    visitor.post("/sign-out", on="/agency")
    assert polls == [401]


def test_a_sign_out_that_is_not_ours_ends_nothing__refused(office: Office, visitor: Visitor) -> None:
    """Without an access token too the form must be this session's: a stranger's is refused."""
    with httpx.Client(base_url=office.address, verify=NO_AUTHORITIES) as http:
        foreign = Visitor(http).token("/sign-in")
    visitor.http.cookies.delete("roleta_access")

    assert visitor.http.post("/sign-out", data={"csrf": foreign}).status_code == 403
    assert sessions_at(office.auth.accounts) == 1
    assert visitor.get("/agency").status_code == 200


def test_signing_out_lets_the_cookies_expire(visitor: Visitor) -> None:
    """Also where the same answer would have brought new ones: no empty cookie stays for a month."""
    token = visitor.token("/agency")
    visitor.http.cookies.set("roleta_access", "expired", domain="127.0.0.1", path="/")

    gone = visitor.http.post("/sign-out", data={"csrf": token}).headers.get_list("set-cookie")
    for name in ("roleta_access", "roleta_refresh"):
        [cookie] = [each for each in gone if each.startswith(f"{name}=")]
        assert cookie.startswith(f'{name}="";') and "Max-Age=-1" in cookie.split("; ")
    assert not {"roleta_access", "roleta_refresh"} & set(visitor.http.cookies)


def test_a_limit_at_the_auth_service_is_said_and_loses_no_session(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 in Portuguese, as a page, to a form and to our script, each with Retry-After; the sign-in is there
    all the same; afterwards the session goes on."""
    token = visitor.token("/agency")
    visitor.http.cookies.set("roleta_access", "expired", domain="127.0.0.1", path="/")
    kept = dict(visitor.http.cookies)
    with monkeypatch.context() as patch:
        limited(patch)
        page, poll = visitor.get("/agency"), visitor.get("/agency/status.json")
        posted = visitor.http.post("/sign-out", data={"csrf": token})
        form = visitor.get("/sign-in")

    for answer in (page, poll, posted):
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert "Espere um minuto" in answer.text
    assert poll.json()["error"].startswith("Muitas tentativas")
    assert (form.status_code, 'name="password"' in form.text) == (200, True)
    assert dict(visitor.http.cookies) == kept
    assert visitor.get("/agency").status_code == 200


def test_one_can_sign_in_while_nothing_is_renewed(
    office: Office, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever does not want to wait uses the password."""
    visitor.http.cookies.set("roleta_access", "expired", domain="127.0.0.1", path="/")
    limited(monkeypatch)
    visitor.sign_in(office.manager)
    assert visitor.get("/agency").status_code == 200


@pytest.mark.parametrize(
    "invented",
    ["bogus", "a" * 513, "eight {}", "words with blanks", "a%40example.com"],
    ids=["short", "long", "braces", "blanks", "percent"],
)
def test_what_can_be_no_refresh_token_is_not_asked_about__refused(
    office: Office, asked: list[str], invented: str
) -> None:
    """Too short, too long, or of other characters: the auth service's limit is for tokens."""
    assert came_with(office, "/agency", {"refresh": invented}).status_code == 303
    assert asked == []


def test_a_refused_token_is_not_asked_about_again_at_once(
    office: Office, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie that somebody made up costs one question in ten seconds, not one for each request."""
    moment = [1000.0]
    monkeypatch.setattr("shared.clock.monotonic", lambda: moment[0])
    for _ in range(5):
        assert came_with(office, "/agency", {"refresh": "invented-token"}).status_code == 303
    assert asked == ["invented-token"]
    moment[0] += session.REFUSED_S
    assert came_with(office, "/agency", {"refresh": "invented-token"}).status_code == 303
    assert len(asked) == 2


def test_refused_tokens_are_remembered_within_a_bound(
    office: Office, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the oldest is forgotten: no crowd of inventions fills the memory."""
    monkeypatch.setattr(session, "MOST_REFUSED", 3)
    for which in (0, 1, 2, 3, 3, 2, 1, 0):
        came_with(office, "/agency", {"refresh": f"invented-{which}"})
    assert [each[-1] for each in asked] == ["0", "1", "2", "3", "0"]


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
