"""The texts about an account: what they must say, whoever reads them."""

import pytest

from shared.texts_pt import account

URL = "https://example.com/plans"


@pytest.mark.parametrize("name", ["Ana Maria Lima", None, "  "])
def test_every_text_greets_by_the_first_name_or_simply(name: str | None) -> None:
    """Never a gap where a name would be, and never the whole name."""
    every = [
        account.welcome(name),
        *account.checkout(name, URL).values(),
        *account.subscription(name, None).values(),
    ]
    greeting = "Oi, Ana! " if name and name.strip() else "Oi! "
    assert all(text.startswith(greeting) for text in every)
    assert not any("Maria" in text or "None" in text for text in every)


def test_who_is_new_reads_how_to_stop() -> None:
    """The first message of both doors names the word that stops everything proactive (decisions.md)."""
    checkout = account.checkout("Ana", URL)
    new = [account.welcome("Ana"), checkout["welcome"], checkout["welcome_sessions"]]
    assert all("SAIR" in text for text in new)


def test_plans_with_sessions_ask_for_days_and_times() -> None:
    """Each kind in both forms; only the one with sessions asks."""
    texts = account.checkout("Ana", URL)
    for kind in ("welcome", "upgrade", "welcome_back"):
        assert "horários" in texts[f"{kind}_sessions"] and "horários" not in texts[kind]


def test_the_way_to_pay_stands_where_it_is_known() -> None:
    """Texts that invite to a purchase carry its address, and stay whole without it."""
    for texts in (account.checkout("Ana", URL), account.subscription("Ana", URL)):
        inviting = {name for name, text in texts.items() if URL in text}
        assert inviting in ({"payment_refused"}, {"farewell", "payment"})
    bare = [*account.checkout("Ana", None).values(), *account.subscription("Ana", None).values()]
    assert not any("http" in text or text.endswith(":") for text in bare)
