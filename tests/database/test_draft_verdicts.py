"""What a composer may bring back, sound or not: the message is settled each time."""

from typing import Any

import pytest

from shared import log
from shared.agent import FixedAgent
from shared.compose import Composed, DraftDuty, Withdrawn
from shared.db import Database
from tests.database.drafts import FIXED, draft, text_of
from tests.database.world import World

ODD_VERDICTS: dict[str, tuple[Any, str, str]] = {
    "untidy": (Composed("  Oi \x00de novo\n"), "Oi \ufffdde novo", "composed"),
    "blank": (Composed(" \n"), FIXED, "the fixed text stands"),
    "too long": (Composed("a" * 65_537), FIXED, "the fixed text stands"),
    "NUL in the facts": (Composed("Oi", {"a": "\x00"}), FIXED, "the fixed text stands"),
    "surrogate in the facts": (Composed("Oi", {"a": "\ud800"}), FIXED, "the fixed text stands"),
    "NaN in the facts": (Composed("Oi", {"a": float("nan")}), FIXED, "the fixed text stands"),
    "object in the facts": (Composed("Oi", {"a": object()}), FIXED, "the fixed text stands"),
    "no reason": (Withdrawn(" "), FIXED, "its composer withdrew it"),
    "long reason": (Withdrawn("x" * 999), FIXED, "x" * 200),
    "no verdict": ("Oi", FIXED, "the fixed text stands"),
}


@pytest.mark.parametrize(("verdict", "text", "reason"), ODD_VERDICTS.values(), ids=list(ODD_VERDICTS))
def test_whatever_a_composer_says_the_message_is_settled(
    verdict: Any, text: str, reason: str, *, db: Database, world: World
) -> None:
    """Blank, too long, impossible to store, or no verdict at all: nothing stays a draft for ever."""
    message = draft(world, world.number())
    duty = DraftDuty(
        db, FixedAgent(), log.get(), composer_named=lambda name: lambda agent, db, draft: verdict
    )
    assert duty.run_once("w") is True
    row = world.message(message)
    assert (text_of(world, message), row["reason"]) == (text, reason)
    assert row["dispatch_state"] != "draft"
