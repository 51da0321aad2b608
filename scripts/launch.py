"""What `up` starts, decided before anything runs. How it is started and ended is in scripts/parts.py.

| DATABASE_URL | ZAPI_* | database | provider | numbers | people signed up | pace |
|---|---|---|---|---|---|---|
| - | - | embedded, `roleta_sample` | simulator | its own | the sample, or --people | --speed 20 |
| - | set | embedded, `roleta` | Z-API | that of ZAPI_* | nobody, or --people after a question | real |
| set | - | yours | Z-API | those in it | nobody, or --people after a question | real |
| set | set | yours | Z-API | those in it, that of ZAPI_* | nobody, or --people after a question | real |

EVOLUTION_API_* is a real provider too: with it there is no sample. The sample's numbers, people and agency
live in a database of their own: no real number ever meets an invented person.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.people import SAMPLE
from shared.errors import SettingsError
from shared.instances import Pace
from shared.settings import Settings

SAMPLE_SPEED = 20.0
FASTEST = 10_000.0
Ours = Literal["ours", "real"]


@dataclass(frozen=True)
class Arrangement:
    """Which parts are ours. `database_name` is on the embedded server, None where the database is real.

    `people` None: nobody is posted. `asks`: a person must agree before anybody is posted.
    """

    database: Ours
    provider: Ours
    database_name: str | None
    people: Path | None
    asks: bool
    speed: float

    @property
    def is_sample(self) -> bool:
        """Server and provider are ours, so that nobody real can be written to."""
        return self.database == self.provider == "ours"


def arrange(settings: Settings, *, speed: float | None, people: Path | None) -> Arrangement:
    """The row of the table above. SettingsError for a --speed that a real number must not have."""
    if settings.database_url is None and not settings.has_real_provider:
        return sample_run(speed, people)
    if speed is not None and speed != 1:
        raise SettingsError(
            "--speed is for the sample run: with a real database or provider the pace is the real one"
        )
    if settings.database_url is None:
        return own_database_real_provider(people)
    return real_database(people)


def sample_run(speed: float | None, people: Path | None) -> Arrangement:
    """Neither is set: everything is ours."""
    speed = SAMPLE_SPEED if speed is None else speed
    if not 1 <= speed <= FASTEST:
        raise SettingsError(f"--speed is a number from 1 (the real pace) to {FASTEST:g}")
    return Arrangement("ours", "ours", "roleta_sample", people or SAMPLE, False, speed)


def own_database_real_provider(people: Path | None) -> Arrangement:
    """ZAPI_* or EVOLUTION_API_* alone: real numbers on a database of ours, which is not the sample's."""
    return Arrangement("ours", "real", "roleta", people, people is not None, 1)


def real_database(people: Path | None) -> Arrangement:
    """DATABASE_URL, with or without ZAPI_*: what its numbers say is sent by Z-API. No simulator ever."""
    return Arrangement("real", "real", None, people, people is not None, 1)


def pace_line(arrangement: Arrangement) -> str:
    """What a person must know of the pace."""
    real = Pace()
    if arrangement.speed == 1:
        return (
            f"real pace: {real.gap_min_s:g}-{real.gap_max_s:g} s between two messages of a number, or its own"
        )
    pace = real.divided(arrangement.speed)
    return (
        f"--speed {arrangement.speed:g}: gaps {pace.gap_min_s:.3g}-{pace.gap_max_s:.3g} s instead of "
        f"{real.gap_min_s:g}-{real.gap_max_s:g} s; --speed 1 is the real pace"
    )


def what_starts(arrangement: Arrangement, settings: Settings) -> list[str]:
    """What a person is told before anything starts, where it is not the sample run."""
    if arrangement.is_sample:
        return []
    database = "the database of DATABASE_URL" if arrangement.database == "real" else "a database of our own"
    numbers = "the numbers that it holds" if arrangement.database == "real" else "no number"
    if settings.has_zapi:
        numbers = (
            "the number of ZAPI_*" if arrangement.database == "ours" else f"{numbers} and that of ZAPI_*"
        )
    providers = "Z-API and Evolution API" if settings.has_evolution else "Z-API"
    lines = [f"{database}, with {numbers}; messages go through {providers} to real people"]
    if arrangement.people is None:
        lines.append(
            "nobody is signed up: the sample is for the simulator only (--people FILE signs up yours)"
        )
    return lines
