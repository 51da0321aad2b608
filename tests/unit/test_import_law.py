"""The import law: who may import whom, and who alone reads the environment and the time."""

import ast
import functools
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {"shared": {"shared"}, "edge": {"edge", "shared"}, "scripts": {"scripts", "edge", "shared"}}
FACES = {f"shared.{name}" for name in ("instances", "outbox", "inbox", "receipts")}
KNOW_BOTH = (
    *("shared.dispatcher", "shared.health", "shared.returning", "shared.reconcile"),
    *("shared.connections", "shared.provider_side"),
)
TIME_CALLS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
NO_NAMES = {"utils", "helpers", "common"}


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its syntax tree."""

    name: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def imports(self) -> Iterator[str]:
        """Every imported dotted name, `from a import b` as a.b; a relative one begins with a dot."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Every `x.y` as ("x", "y"), and every `from x import y` alike."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                base = node.value
                yield (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", ""), node.attr)
            elif isinstance(node, ast.ImportFrom):
                yield from (((node.module or "").rpartition(".")[2], alias.name) for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of these packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def parse(name: str, source: str) -> Module:
    """A module from its text."""
    return Module(name, ast.parse(source))


@functools.cache
def our_modules() -> list[Module]:
    """Every Python file of the three packages."""
    files = [file for package in MAY_IMPORT for file in sorted((ROOT / package).rglob("*.py"))]
    return [parse(".".join(f.relative_to(ROOT).with_suffix("").parts), f.read_text()) for f in files]


@functools.cache
def handlers() -> set[str]:
    """The modules of the edge functions that supabase.toml names."""
    try:
        slugs = tomllib.loads((ROOT / "supabase.toml").read_text()).get("functions", {})
    except FileNotFoundError:
        return set()
    return {f"edge.{slug.replace('-', '_')}" for slug in slugs}


def direction(module: Module) -> list[str]:
    """scripts -> edge -> shared, never back; absolute imports only."""
    packages = set(MAY_IMPORT) - MAY_IMPORT[module.package]
    return [name for name in module.imports() if name.startswith(".") or within(name, *packages)]


def handlers_apart(module: Module) -> list[str]:
    """A handler imports no other handler."""
    if module.name not in handlers():
        return []
    return [name for name in module.imports() if within(name, *(handlers() - {module.name}))]


def database_and_providers_apart(module: Module) -> list[str]:
    """Providers know no database, the faces know no provider; only those that stand between
    them know both."""
    if within(module.name, "shared.providers"):
        return [name for name in module.imports() if within(name, "shared.db", *FACES)]
    if module.package != "shared" or within(module.name, *KNOW_BOTH):
        return []
    providers = [name for name in module.imports() if within(name, "shared.providers")]
    knows_database = any(within(name, "shared.db", *FACES) for name in module.imports())
    return providers if knows_database or module.name in FACES else []


def environment_in_settings(module: Module) -> list[str]:
    """In shared and edge only settings reads the environment or .env."""
    if module.package == "scripts" or module.name == "shared.settings":
        return []
    read = [".".join(pair) for pair in module.attributes() if pair in {("os", "environ"), ("os", "getenv")}]
    return read + [name for name in module.imports() if within(name, "dotenv")]


def time_in_clock(module: Module) -> list[str]:
    """In shared and edge only clock reads the time."""
    if module.package == "scripts" or module.name == "shared.clock":
        return []
    return [f"{base}.{name}" for base, name in module.attributes() if name in TIME_CALLS.get(base, ())]


def telling_names(module: Module) -> list[str]:
    """No module named utils, helpers or common, nor like one of Python's own."""
    last = module.name.removesuffix(".__init__").rpartition(".")[2]
    own = last in sys.stdlib_module_names and last not in MAY_IMPORT
    return [last] if last in NO_NAMES or (own and not last.startswith("__")) else []


LAWS: list[Callable[[Module], list[str]]] = [
    direction,
    handlers_apart,
    database_and_providers_apart,
    environment_in_settings,
    time_in_clock,
    telling_names,
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_no_module_breaks(law: Callable[[Module], list[str]]) -> None:
    """Every module of edge, shared and scripts keeps this law."""
    broken = [f"{module.name}: {fault}" for module in our_modules() for fault in law(module)]
    assert broken == [], law.__doc__


@pytest.mark.parametrize(
    ("law", "name", "source"),
    [
        (direction, "shared.outbox", "from edge import app"),
        (direction, "edge.app", "import scripts.cli"),
        (direction, "shared.outbox", "from . import db"),
        (database_and_providers_apart, "shared.providers.zapi", "from shared import db"),
        (database_and_providers_apart, "shared.providers.zapi", "from shared.outbox import enqueue"),
        (database_and_providers_apart, "shared.outbox", "from shared.providers.base import Outcome"),
        (database_and_providers_apart, "shared.x", "import shared.db, shared.providers.zapi"),
        (environment_in_settings, "shared.x", "import os\nos.environ['A']"),
        (environment_in_settings, "edge.x", "from os import getenv"),
        (environment_in_settings, "edge.x", "from dotenv import dotenv_values"),
        (time_in_clock, "shared.x", "import time\ntime.time()"),
        (time_in_clock, "shared.x", "from time import monotonic"),
        (time_in_clock, "edge.x", "import datetime\ndatetime.datetime.now()"),
        (time_in_clock, "edge.x", "from datetime import date\ndate.today()"),
        (telling_names, "shared.utils", ""),
        (telling_names, "shared.queue", ""),
    ],
)
def test_a_planted_breach_is_found(law: Callable[[Module], list[str]], name: str, source: str) -> None:
    """Each law finds what it forbids, so that its silence means something."""
    assert law(parse(name, source)) != []


@pytest.mark.parametrize(
    ("law", "name", "source"),
    [
        (direction, "scripts.cli", "from edge.app import application\nimport shared.db"),
        (database_and_providers_apart, "shared.dispatcher", "import shared.db, shared.providers.zapi"),
        (environment_in_settings, "shared.settings", "import os\nos.environ"),
        (time_in_clock, "shared.clock", "import time\ntime.monotonic()"),
        (time_in_clock, "shared.x", "from shared import clock\nclock.now()"),
    ],
)
def test_what_is_allowed_passes(law: Callable[[Module], list[str]], name: str, source: str) -> None:
    """The laws forbid no more than they say."""
    assert law(parse(name, source)) == []
