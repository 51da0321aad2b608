"""Every condition of every audience: just inside, just outside, and that it is this one that decides.

Each removes its condition from the SQL once: beside scripts/defects.py, these too are planted defects.
"""

import importlib
import pkgutil
from uuid import UUID

import pytest

from tests.database import audiences
from tests.database.audiences import Condition
from tests.database.world import BentClock, World

CONDITIONS: list[Condition] = [
    condition
    for module in pkgutil.iter_modules(audiences.__path__)
    for condition in importlib.import_module(f"{audiences.__name__}.{module.name}").CONDITIONS
]
# A Wednesday, noon in São Paulo: far from every quiet hour and from midnight.
NOON = "2026-11-18 12:00-03"


def chosen(world: World, condition: Condition) -> set[UUID]:
    """The profiles that the audience holds now."""
    rows = world.value("select messaging.due_people(%s)", condition.function)
    return {
        UUID(row["profile_id"])
        for row in rows
        if condition.purpose is None or row["purpose"] == condition.purpose
    }


def source(world: World, condition: Condition) -> str:
    """The definition of the audience's function."""
    return str(
        world.value("select pg_get_functiondef(%s::regprocedure)", f"messaging.{condition.function}()")
    )


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_condition_keeps_just_the_right_ones_out(
    world: World, bent_clock: BentClock, condition: Condition
) -> None:
    """Inside is chosen, outside is not; with the condition removed, outside is chosen too."""
    bent_clock.move_to(NOON)
    world.number()
    inside, outside = condition.inside(world), condition.outside(world)

    found = chosen(world, condition)
    assert inside in found
    assert outside not in found

    definition = source(world, condition)
    assert definition.count(condition.fragment) == 1, "the fragment must name one place of the source"
    world.rows(definition.replace(condition.fragment, condition.replacement).replace("%", "%%"))
    assert outside in chosen(world, condition)


def test_every_audience_has_conditions(world: World) -> None:
    """No audience is without its table of conditions."""
    functions = {
        row["proname"]
        for row in world.rows(
            "select proname from pg_proc where pronamespace = 'messaging'::regnamespace"
            " and proname like 'people\\_%%'"
        )
    }
    assert {condition.function for condition in CONDITIONS} == functions
