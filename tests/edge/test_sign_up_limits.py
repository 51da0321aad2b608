"""start-trial is open to strangers: how often one phone, one address and all of them together are taken."""

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import httpx
import pytest

from edge.addresses import caller_address
from shared.db import Database
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.gateway import PERSON, SERVICE_KEY, add_number, serving, sign_up, stored

DEFAULT = Settings()
LIMITED = Settings(service_role_key=SERVICE_KEY, reply_debounce_s=0.0)
PROXY = dataclasses.replace(LIMITED, trusted_proxies=(ip_network("127.0.0.1"),))
SERVICE = {"authorization": f"Bearer {SERVICE_KEY}"}


@pytest.fixture
def limited(db: Database, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a gateway with the limits that stand unless somebody sets others."""
    with serving(db, LIMITED) as client:
        yield client
    assert logs.named("request.failed") == []


@pytest.fixture
def proxied(db: Database, logs: Logs) -> Iterator[httpx.Client]:
    """The same behind a proxy that is trusted: this test."""
    with serving(db, PROXY) as client:
        yield client
    assert logs.named("request.failed") == []


def phone(n: int) -> str:
    """One of many people."""
    return f"55119{70000000 + n:08d}"


def from_address(client: httpx.Client, address: str, n: int, **headers: str) -> httpx.Response:
    """A sign-up of a new person, as the proxy hands it on."""
    return client.post(
        "/functions/v1/start-trial",
        json={"name": "Ana", "phone": phone(n)},
        headers={"x-forwarded-for": address} | headers,
    )


@pytest.mark.scoreboard("S18", tier="landing")
def test_a_thousand_calls_from_few_addresses_leave_nine_seats_of_ten(
    db: Database, proxied: httpx.Client
) -> None:
    """Strangers with a new phone at each call, from 5 addresses, then from 300: 90 % of the seats stay."""
    for _ in range(4):
        add_number(db, seats=250)
    with ThreadPoolExecutor(16) as threads:
        few = list(threads.map(lambda n: from_address(proxied, f"203.0.113.{n % 5}", n), range(500)))
        # Who has many addresses is stopped by the pool's own brake.
        many = list(
            threads.map(
                lambda n: from_address(proxied, f"198.51.{n % 300 // 100}.{n % 100}", n), range(500, 1000)
            )
        )
    assert {answer.status_code for answer in [*few, *many]} == {200, 429}
    counts = stored(db)
    assert counts["seats_taken"] == sum(answer.status_code == 200 for answer in [*few, *many])
    assert sum(a.status_code == 200 for a in few) <= 5 * DEFAULT.sign_ups_per_address
    assert 50 <= counts["seats_taken"] <= 100
    assert counts["profiles"] == counts["messages"] == counts["seats_taken"]


def test_too_often_is_429_with_the_seconds_to_wait_and_why(db: Database, limited: httpx.Client) -> None:
    """A person understands it, a program too; and nothing was stored."""
    add_number(db)
    answers = [sign_up(limited) for _ in range(DEFAULT.sign_ups_per_phone + 1)]
    assert [a.status_code for a in answers] == [200] * DEFAULT.sign_ups_per_phone + [429]
    assert answers[-1].json() == {"error": "this phone was signed up too often: try again later"}
    assert 60 <= int(answers[-1].headers["retry-after"]) <= 3600 / DEFAULT.sign_ups_per_phone
    assert stored(db)["profiles"] == 1


def test_whose_phone_is_known_cannot_be_asked_at_a_high_rate(db: Database, limited: httpx.Client) -> None:
    """Known and unknown phones count for the address alike, and refusals do not tell them apart."""
    add_number(db, seats=5000)
    known = [phone(n) for n in range(0, 60, 2)]
    for each in known:
        limited.post("/functions/v1/start-trial", json={"name": "Ana", "phone": each}, headers=SERVICE)
    answers = [from_address(limited, "", n) for n in range(60)]
    told = [answer for answer in answers if answer.status_code == 200]
    assert len(told) == DEFAULT.sign_ups_per_address
    assert len({answer.text for answer in answers[len(told) :]}) == 1


def test_the_service_key_lifts_the_address_limit_not_the_phones(db: Database, limited: httpx.Client) -> None:
    """Whoever holds it answers for its own callers; another key than that is a stranger's."""
    add_number(db, seats=5000)
    wrong = {"authorization": f"Bearer {SERVICE_KEY}x"}
    trusted = [from_address(limited, "", n, **SERVICE) for n in range(40)]
    strange = [from_address(limited, "", n, **wrong) for n in range(100, 140)]
    again = [from_address(limited, "", 0, **SERVICE) for _ in range(DEFAULT.sign_ups_per_phone)]
    assert {answer.status_code for answer in trusted} == {200}
    assert sum(answer.status_code == 200 for answer in strange) == DEFAULT.sign_ups_per_address
    assert [answer.status_code for answer in again].count(429) == 1


def test_a_stranger_cannot_choose_an_address(db: Database, limited: httpx.Client) -> None:
    """Without a trusted proxy X-Forwarded-For is the caller's own invention, and is not read."""
    add_number(db, seats=5000)
    answers = [from_address(limited, f"203.0.113.{n}", n) for n in range(40)]
    assert sum(answer.status_code == 200 for answer in answers) == DEFAULT.sign_ups_per_address


def test_neither_phone_nor_address_is_stored_with_the_counts(db: Database, proxied: httpx.Client) -> None:
    """What is counted is named by keyed hashes, and forgotten when it has leaked away."""
    add_number(db)
    from_address(proxied, "203.0.113.77", 1)
    rows = db.rows("select bucket, empty_at > now() as fills from messaging.sign_up_buckets order by bucket")
    assert [row["bucket"].partition(":")[0] for row in rows] == ["address", "phone", "seats"]
    assert all(row["fills"] for row in rows)
    assert not any(word in str(rows) for word in ("203.0.113", phone(1), phone(1)[4:]))


def test_64_threads_on_one_address_get_exactly_the_limit(db: Database, limited: httpx.Client) -> None:
    """Counting and signing up are one transaction: nobody slips through between the two."""
    add_number(db, seats=5000)
    gate = threading.Barrier(64)

    def asked(number: int) -> httpx.Response:
        gate.wait(20)
        return from_address(limited, "", number)

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(asked, range(64)))
    assert sum(answer.status_code == 200 for answer in answers) == DEFAULT.sign_ups_per_address
    assert stored(db)["profiles"] == DEFAULT.sign_ups_per_address


def test_a_taken_email_is_counted_like_everything_else(db: Database, limited: httpx.Client) -> None:
    """Where the app lets an e-mail stand once, the refusal is no way to ask for customers without end."""
    add_number(db, seats=5000)
    with db.transaction() as transaction:
        transaction.rows("alter table public.profiles add unique (email)")
    answers = [sign_up(limited, phone=phone(n)) for n in range(40)]
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 1 and codes.count(409) == DEFAULT.sign_ups_per_address - 1
    assert codes.count(429) == 40 - DEFAULT.sign_ups_per_address


def test_what_was_asked_leaks_away(db: Database, limited: httpx.Client) -> None:
    """An hour later a full bucket is empty, and part of an hour gives part of it."""
    add_number(db, seats=5000)
    for _ in range(6):
        sign_up(limited, phone=PERSON)
    half = 3600 / DEFAULT.sign_ups_per_phone
    for _ in range(2):
        with db.transaction() as transaction:
            transaction.rows(
                "update messaging.sign_up_buckets set empty_at = empty_at - make_interval(secs => %(s)s)",
                {"s": half},
            )
        assert [sign_up(limited).status_code for _ in range(2)] == [200, 429]


TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("::ffff:10.0.0.1", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1%eth0", None, "2001:db8:1:2::/64"),
        ("fd00::1", '"2001:db8::7"', "2001:db8::/64"),
        (None, "1.2.3.4", "unknown"),
        ("", None, "unknown"),
        ("localhost", None, "unknown"),
    ],
)
def test_whence_a_call_comes(peer: str | None, forwarded: str | None, counted: str) -> None:
    """Only what a trusted proxy adds is believed; an IPv6 caller is a /64."""
    assert caller_address(peer, forwarded, TRUSTED) == counted


def test_a_small_pool_lets_strangers_in_one_by_one(db: Database, limited: httpx.Client) -> None:
    """The brake never stops the last seats for good: one an hour."""
    add_number(db, seats=3)
    answers = [sign_up(limited, phone=phone(n), name=uuid.uuid4().hex) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert answers[1].json()["error"].startswith("too many people")
