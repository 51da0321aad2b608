"""edge/README.md is true: a row for each function, each link leads to its test, each bug is pinned once."""

import re
from pathlib import Path

from edge.functions import load_functions

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "edge" / "README.md").read_text(encoding="utf-8")
ROWS = [line for line in README.splitlines() if line.startswith("| [")]
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def target(link: str) -> Path:
    """The file that a link of the README leads to."""
    return (ROOT / "edge" / link).resolve()


def test_every_function_has_its_row_and_its_own_test() -> None:
    """The first cell of each row is a function of supabase.toml, linked to a test file that calls it."""
    linked = dict(found[0] for row in ROWS if (found := LINK.findall(row)))
    assert set(linked) == {function.slug for function in load_functions()}
    for slug, link in linked.items():
        assert re.search(rf"{slug}|{slug.replace('-', '_')}", target(link).read_text(encoding="utf-8")), slug


def test_every_link_leads_somewhere() -> None:
    """No link of the page is broken."""
    missing = [link for _, link in LINK.findall(README) if not target(link).exists()]
    assert missing == []


def test_every_bug_of_the_original_is_linked_to_the_test_that_bears_its_number() -> None:
    """Bugs 01 to 32, each named in some row and in the test file that the row links to."""
    numbered = {(text, link) for row in ROWS for text, link in LINK.findall(row) if text.isdigit()}
    assert {text for text, _ in numbered} == {f"{number:02}" for number in range(1, 33)}
    for number, link in numbered:
        assert f"def test_bug_{number}_" in target(link).read_text(encoding="utf-8"), (number, link)


def test_who_may_call_is_what_the_page_says() -> None:
    """Anybody, the service key, a signature or a number's secret: as supabase.toml has it."""
    words = {
        "stranger": "anybody",
        "user": "a manager's token",
        "service": "service key",
        "cron": "service key",
        "signed": "Stripe's signature",
        "provider": "the number's own secret",
    }
    told = {LINK.findall(row)[0][0]: row.split("|")[3].strip() for row in ROWS}
    assert told == {function.slug: words[function.caller] for function in load_functions()}
