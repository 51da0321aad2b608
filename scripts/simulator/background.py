"""Work that goes on behind the answers of a simulator: started here, counted here, ended here."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """A group of tasks; whoever needs the end of one awaits the task."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Run in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __len__(self) -> int:
        """Tasks that have not ended."""
        return len(self._tasks)

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Drop all that is under way; gives what was dropped."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    async def stop(self) -> None:
        """Drop all, and wait until it has ended."""
        await asyncio.gather(*self.cancel(), return_exceptions=True)
