"""Every text that a Brazilian person reads, in Portuguese, in our own words: a module a group."""


def first_name(name: str | None) -> str:
    """The first word of a name, for a greeting; empty where there is none."""
    return next(iter((name or "").split()), "")[:40]


def hello(name: str | None) -> str:
    """The greeting that begins a message."""
    called = first_name(name)
    return f"Oi, {called}!" if called else "Oi!"
