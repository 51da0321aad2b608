"""Waits in tests are those of the soak: polled until a deadline, never a fixed sleep."""

from collections.abc import Callable

from scripts.soak.waiting import NotInTime, eventually

__all__ = ["comes", "eventually"]


def comes(condition: Callable[[], object], within_s: float) -> bool:
    """Whether the condition holds within so many seconds: for an assertion that is a test's promise."""
    try:
        eventually(condition, within_s)
    except NotInTime:
        return False
    return True
