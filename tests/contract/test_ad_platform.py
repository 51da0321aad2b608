"""The ad platform's client against a real HTTP server: every answer is a balance or a reason, in time, and no
token is told."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest

from scripts.simulator.ad_platform import TROUBLES, AdPlatformSimulator
from shared.ad_accounts import GIVEN_UP_AFTER, Balance, BalanceFailure, MetaAds


@pytest.fixture
def platform() -> Iterator[AdPlatformSimulator]:
    """A platform that was never asked for a token in an address."""
    with AdPlatformSimulator() as running:
        yield running
        assert running.complaints == []


@pytest.fixture
def ads(platform: AdPlatformSimulator) -> Iterator[MetaAds]:
    """The client of that platform."""
    client = MetaAds(platform.url)
    yield client
    client.close()


def failure(ads: MetaAds, platform: AdPlatformSimulator, account: str = "act_1") -> BalanceFailure:
    """What a question that fails is answered."""
    found = ads.balance(account, platform.token)
    assert isinstance(found, BalanceFailure)
    return found


@pytest.mark.parametrize(
    ("cents", "amount"), [(12345, "123.45"), (0, "0"), (1, "0.01"), (-500, "-5"), (10**15, "10000000000000")]
)
def test_a_balance_is_cents(ads: MetaAds, platform: AdPlatformSimulator, cents: int, amount: str) -> None:
    """Exact, whatever its size; also with the id as some projects store it."""
    platform.balances["act_1"] = cents
    for account in ("act_1", "1", " act_1 "):
        assert ads.balance(account, platform.token) == Balance(Decimal(amount))


@pytest.mark.parametrize(
    ("code", "kind"),
    [(190, "token_refused"), (102, "token_refused"), (17, "limited"), (4, "limited"), (613, "limited"),
     (80004, "limited"), (10, "no_access"), (200, "no_access"), (100, "unexpected"), (1, "unavailable"),
     (2, "unavailable"), (-1, "unexpected")],
)  # fmt: skip
def test_each_code_of_the_platform_has_its_kind(
    ads: MetaAds, platform: AdPlatformSimulator, code: int, kind: str
) -> None:
    """Its error reference, in our words, with the code for whoever looks it up."""
    platform.refuse("act_1", code)
    found = failure(ads, platform)
    assert found.kind == kind and str(code) in found.detail


def test_a_wrong_token_is_refused(ads: MetaAds, platform: AdPlatformSimulator) -> None:
    """Another agency's, an old one."""
    found = ads.balance("act_1", "EAABwrong")
    assert isinstance(found, BalanceFailure) and found.kind == "token_refused"


@pytest.mark.parametrize("token", ["", "with\nline", "with\x00nul", "acentuação", "x" * 5000])
def test_a_token_that_is_none_breaks_nothing(ads: MetaAds, platform: AdPlatformSimulator, token: str) -> None:
    """Whatever an adopted table holds."""
    platform.balances["act_1"] = 1
    found = ads.balance("act_1", token)
    assert isinstance(found, BalanceFailure)
    assert token[:20] not in found.detail or not token


@pytest.mark.parametrize(
    "account", ["", "act_", "act_1/../me", "act_1?fields=x", "1\n2", "me", "act_" + "1" * 31]
)
def test_an_account_that_is_none_is_asked_of_nobody(
    ads: MetaAds, platform: AdPlatformSimulator, account: str
) -> None:
    """The id stands in a path: nothing but digits gets there."""
    assert failure(ads, platform, account).kind == "unexpected"
    assert platform.asked == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("hang_up", "unavailable"), ("html", "unexpected"), ("no_balance", "unexpected"),
     ("garbage", "unexpected"), ("error_without_code", "unexpected"), (500, "unavailable"),
     (503, "unavailable")],
)  # fmt: skip
def test_every_trouble_is_a_reason(
    ads: MetaAds,
    platform: AdPlatformSimulator,
    caplog: pytest.LogCaptureFixture,
    kind: str | int,
    expected: str,
) -> None:
    """Nothing raises; the next question is answered; neither reason nor log holds the token."""
    caplog.set_level(logging.DEBUG)
    platform.balances["act_2"] = 700
    platform.trouble("act_1", kind)
    found = failure(ads, platform)
    assert found.kind == expected
    assert platform.token not in found.detail and platform.token not in caplog.text
    assert ads.balance("act_2", platform.token) == Balance(Decimal(7))


def test_a_platform_that_never_answers_is_left_in_time(platform: AdPlatformSimulator) -> None:
    """The bound holds for the whole exchange."""
    platform.trouble("act_1", "slow")
    ads = MetaAds(platform.url, timeout_s=0.3)
    began = time.monotonic()
    assert failure(ads, platform).kind == "unavailable"
    assert time.monotonic() - began < 3
    ads.close()


def test_a_platform_that_answers_nobody_is_soon_asked_no_more(platform: AdPlatformSimulator) -> None:
    """A run over hundreds of accounts would hold the worker's schedules for minutes, session reminders among
    them. One answer in between, and it is asked on."""
    for index in range(GIVEN_UP_AFTER + 3):
        platform.hold(f"act_{index}", until_asked=10**6)
    platform.balances["act_99"] = 100
    with closing(MetaAds(platform.url, timeout_s=0.05)) as ads:
        found = [failure(ads, platform, f"act_{index}") for index in range(GIVEN_UP_AFTER + 3)]
    assert {each.kind for each in found} == {"unavailable"}
    assert ["next run" in each.detail for each in found] == [False] * GIVEN_UP_AFTER + [True] * 3
    with closing(MetaAds(platform.url, timeout_s=0.3)) as ads:
        for index in range(GIVEN_UP_AFTER + 3):
            assert "next run" not in failure(ads, platform, f"act_{index}").detail
            assert ads.balance("act_99", platform.token) == Balance(Decimal(1))


def test_a_platform_that_is_not_there_is_a_reason() -> None:
    """Refused connections, and an address that is none."""
    for url in ("http://127.0.0.1:1/v21.0", "http://[broken/v21.0"):
        ads = MetaAds(url, timeout_s=2)
        found = ads.balance("act_1", "EAABtoken")
        assert isinstance(found, BalanceFailure) and "EAABtoken" not in found.detail
        ads.close()


def test_a_trouble_that_there_is_not_is_refused(platform: AdPlatformSimulator) -> None:
    """A typing mistake in a test must not look like health."""
    with pytest.raises(ValueError, match=str(TROUBLES[0])):
        platform.trouble("act_1", "sloww")
