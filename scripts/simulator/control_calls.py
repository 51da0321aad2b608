"""The frame of a control interface: POST /control/<name>, JSON in and out. The calls are each simulator's."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from scripts.simulator.http_server import Answer, Request
from scripts.simulator.options import BadSettingError, change

World = TypeVar("World")


def controlled(
    actions: Mapping[str, Callable[[World, dict[str, Any]], Any]],
    world: World,
    request: Request,
    rest: list[str],
) -> Answer:
    """One control call: 200 with what is so now, 400 with what to change."""
    name = rest[0] if len(rest) == 1 else ""
    if name not in actions:
        return Answer(404, {"error": f"unknown control call; there are {', '.join(actions)}"})
    try:
        fields = request.json()
        if not isinstance(fields, dict):
            raise BadSettingError("the body must be a JSON object")
        return Answer(payload=actions[name](world, fields))
    except KeyError as error:
        return Answer(400, {"error": f"{error.args[0]} is missing"})
    except (ValueError, TypeError, RecursionError) as error:
        return Answer(400, {"error": str(error)})


def seconds_of(value: Any) -> float:
    """A length of time from a control call; BadSettingError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadSettingError("seconds must be a number of seconds, 0 or more")
    return float(value)


def turning(part: str) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """The control call that changes settings of one part of a world (`faults`, `receipts`, `options`)."""

    def turn(world: Any, fields: dict[str, Any]) -> dict[str, Any]:
        target = getattr(world, part)
        change(target, fields)
        return asdict(target)

    return turn
