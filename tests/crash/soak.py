"""What the crash tests share is what `roleta soak` is made of (scripts/soak)."""

from scripts.soak.book import gaps_between
from scripts.soak.judge import judge
from scripts.soak.kills import kill_along_the_way, stop_at_once
from scripts.soak.stage import (
    add_numbers,
    enqueue_texts,
    has_accepted,
    states,
    texts_of,
    wait_until_ended,
)

__all__ = [
    "add_numbers",
    "enqueue_texts",
    "gaps_between",
    "has_accepted",
    "judge",
    "kill_along_the_way",
    "states",
    "stop_at_once",
    "texts_of",
    "wait_until_ended",
]
