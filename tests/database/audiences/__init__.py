"""The conditions of every audience, each with somebody just inside and somebody just outside it.

One module per group of functions exports CONDITIONS; tests/database/test_audiences.py judges them all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from tests.database.world import World


@dataclass(frozen=True)
class Condition:
    """One condition of the audience `messaging.<function>()`.

    `fragment` is its exact text in the function's source; put `replacement` in its place, and `outside` is
    chosen. `inside` and `outside` each make a person in the given world and name the profile.
    `purpose`: which rows of the audience count; None for all.
    """

    function: str
    name: str
    fragment: str
    inside: Callable[[World], UUID]
    outside: Callable[[World], UUID]
    replacement: str = "true"
    purpose: str | None = None

    def __str__(self) -> str:
        return f"{self.function}: {self.name}"
