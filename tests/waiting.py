"""Waits in tests are those of the soak: polled until a deadline, never a fixed sleep."""

from scripts.soak.waiting import eventually

__all__ = ["eventually"]
