"""The environment of the soak's processes: nothing in it leads to a real database or a real number."""

import os
from pathlib import Path

# What would reach the world outside, or change how libpq connects.
REAL_WORLD = ("DATABASE_URL", "EVOLUTION_", "META_", "PG", "ROLETA_", "STRIPE_", "SUPABASE_", "ZAPI_")


def own_environment() -> dict[str, str]:
    """This process's environment without what would lead a worker to the world outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_WORLD)}
    return {**kept, "ROLETA_ENV_FILE": os.devnull}


def bytecode_in(folder: Path) -> dict[str, str]:
    """Variables for processes that are often started anew: none compiles what one before it has compiled."""
    return {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
