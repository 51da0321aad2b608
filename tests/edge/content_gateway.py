"""Calls and a world for the tests of reports, journeys, schedules and meditations over HTTP."""

from typing import Any

import httpx

from tests.database.content_world import NOON
from tests.database.world import BentClock, Connect, World
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY


def world_at_noon(connect: Connect) -> World:
    """A world with one number on a Wednesday at noon, whose clock the test moves."""
    world = World(connect())
    BentClock(world, NOON)
    world.number()
    return world


def move_to(world: World, moment: str) -> None:
    """Jumps to a moment."""
    world.rows("update messaging.bent_clock set now = %s", moment)


def post(
    client: httpx.Client, slug: str, body: dict[str, Any] | None = None, **headers: str
) -> httpx.Response:
    """One POST as the app's own service or its cron."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        f"{FUNCTIONS}/{slug}", json=body or {}, headers={"authorization": f"Bearer {SERVICE_KEY}"} | given
    )


def messages(world: World) -> list[dict[str, Any]]:
    """The outbox, oldest first."""
    return world.rows("select * from messaging.outbox order by id")
