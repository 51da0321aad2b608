"""The crash tests' workers are those of `roleta soak`."""

from scripts.soak.fleet import Fleet, RunningWorker

__all__ = ["Fleet", "RunningWorker"]
