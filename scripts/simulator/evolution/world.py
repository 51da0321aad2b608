"""Everything that the simulator's parts share: both halves of each instance, settings, the log, background
work, and WhatsApp as far as it is simulated."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.background import Background
from scripts.simulator.evolution.rows import Channel, Row
from scripts.simulator.evolution.settings import PROFILES, Options, Receipts
from scripts.simulator.options import BadSettingError, FaultPlan
from scripts.simulator.poster import Poster

KNOWN_GROUPS = frozenset({"120363000000000001@g.us"})


@dataclass
class WhatsApp:
    """The network behind the server: who is there, and whether it can be reached."""

    absent: set[str] = field(default_factory=set)
    registered_as: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=lambda: set(KNOWN_GROUPS))
    banned: set[str] = field(default_factory=set)
    unreachable: float = 0.0  # reconnects a second; 0 = it can be reached


@dataclass
class World:
    """One server. `rows` is its database, `memory` what it has loaded."""

    log: AcceptanceLog
    key: str
    started_speed: float = 1.0
    started_profile: str = "2.3.7"
    base_url: str = ""
    options: Options = field(default_factory=Options)
    faults: FaultPlan = field(default_factory=FaultPlan)
    receipts: Receipts = field(default_factory=Receipts)
    whatsapp: WhatsApp = field(default_factory=WhatsApp)
    rows: list[Row] = field(default_factory=list)
    memory: dict[str, Channel] = field(default_factory=dict)
    number_cache: dict[str, tuple[str, float]] = field(default_factory=dict)  # digits -> jid, since when
    counters: dict[str, int] = field(default_factory=dict)
    races: dict[str, str] = field(default_factory=dict)  # name -> what its next creator will be
    database_errors: int = 0
    licence_missing: bool = False
    poster: Poster = field(default_factory=Poster)
    sockets: Background = field(default_factory=Background)
    posting: Background = field(default_factory=Background)
    dice: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.speed, self.profile = self.started_speed, PROFILES[self.started_profile]

    def begin(self) -> None:
        """As started: no instance, settings as they are by themselves; what was under way is dropped."""
        self.__post_init__()
        self.sockets.cancel()
        self.posting.cancel()
        self.options, self.faults, self.receipts = Options(), FaultPlan(), Receipts()
        self.whatsapp, self.database_errors, self.licence_missing = WhatsApp(), 0, False
        for kept in (self.rows, self.memory, self.number_cache, self.counters, self.races):
            kept.clear()
        self.log.reset()

    def row(self, name: str) -> Row | None:
        """The database row of a name."""
        return next((row for row in self.rows if row.name == name), None)

    def channel(self, fields: dict[str, Any]) -> Channel:
        """The loaded instance that a control call names; BadSettingError where there is none."""
        found = self.memory.get(str(fields.get("instance", "")))
        if found is None:
            raise BadSettingError(f"unknown instance; there are {', '.join(self.memory) or 'none yet'}")
        return found

    async def wait(self, seconds: float) -> None:
        """Sleep in simulated seconds."""
        await asyncio.sleep(seconds / self.speed)

    def now(self) -> float:
        """The simulated world's clock, in its seconds."""
        return time.monotonic() * self.speed

    def counted(self, name: str) -> None:
        """One more."""
        self.counters[name] = self.counters.get(name, 0) + 1

    async def stop(self) -> None:
        """End the background work."""
        await self.sockets.stop()
        await self.posting.stop()
        self.poster.close()
