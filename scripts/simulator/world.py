"""Everything that the simulator's parts share: instances, settings, the log, and the tasks in the
background."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.background import Background
from scripts.simulator.instances import Instance, configured
from scripts.simulator.options import FaultPlan, Options, ReceiptPlan
from scripts.simulator.webhooks import WebhookPoster


@dataclass
class World:
    """One simulator. `deleted` holds the ids of instances that are gone: they answer "Instance not found"
    too."""

    log: AcceptanceLog
    options: Options = field(default_factory=Options)
    faults: FaultPlan = field(default_factory=FaultPlan)
    receipts: ReceiptPlan = field(default_factory=ReceiptPlan)
    instances: dict[str, Instance] = field(default_factory=dict)
    webhooks: WebhookPoster = field(default_factory=WebhookPoster)
    dice: random.Random = field(default_factory=random.Random)
    configs: list[dict[str, Any]] = field(default_factory=list)
    allow_http: bool = False
    _tasks: Background = field(default_factory=Background)

    def begin(self) -> None:
        """The world as it was configured: instances and settings; what was under way is dropped."""
        self._tasks.cancel()
        self.options, self.faults, self.receipts = (
            Options(allow_http=self.allow_http),
            FaultPlan(),
            ReceiptPlan(),
        )
        self.instances.clear()
        for index, config in enumerate(self.configs, 1):
            instance = configured(config, index)
            self.instances[instance.id] = instance
        self.log.reset()
        self.webhooks.counters.clear()

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Run in the background; whoever needs the end awaits the task."""
        return self._tasks.spawn(work)

    @property
    def busy(self) -> int:
        """Background tasks that have not ended: queues that drain and webhooks under way."""
        return len(self._tasks)

    async def stop(self) -> None:
        """End the background tasks."""
        await self._tasks.stop()
        self.webhooks.close()
