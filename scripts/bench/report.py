"""What a bench found, as a table for a person and as a JSON file for later comparison."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".roleta" / "bench"
Row = dict[str, Any]


@dataclass
class Report:
    """One run: its rows (all with the same fields), and below them the sentences that judge or explain."""

    name: str
    quick: bool
    seed: int
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[Row] = field(default_factory=list)

    def target(self, what: str, found: float, at_most: float) -> None:
        """Judge a figure; a target that is missed is shown as missed."""
        self.targets.append({"what": what, "found": found, "at_most": at_most, "met": found <= at_most})

    def write(self, file: Path, surroundings: Row) -> None:
        """The JSON file: name, quick, seed, surroundings, rows, targets, notes."""
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = {
            "bench": self.name,
            "quick": self.quick,
            "seed": self.seed,
            **surroundings,
            "rows": self.rows,
            "targets": self.targets,
            "notes": self.notes,
        }
        file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def show(self, console: Console) -> None:
        """The table, the targets and the notes."""
        if self.rows:
            table = Table(title=f"bench {self.name}" + (" (quick)" if self.quick else ""))
            for column in self.rows[0]:
                table.add_column(column.replace("_", " "), justify="right")
            for row in self.rows:
                table.add_row(*(_cell(value) for value in row.values()))
            console.print(table)
        for target in self.targets:
            verdict = "met" if target["met"] else "MISSED"
            console.print(
                f"{verdict}: {target['what']}: {target['found']:g} (target: at most {target['at_most']:g})"
            )
        for note in self.notes:
            console.print(note)


def surroundings(database_url: str) -> Row:
    """When, which code, which machine, which versions. No address, no path, no host name."""
    with psycopg.connect(database_url) as connection:
        server = connection.info.parameter_status("server_version") or "unknown"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": server,
            "psycopg": version("psycopg"),
            "roleta": version("roleta"),
        },
    }


def median(values: Sequence[float]) -> float:
    """The middle value, the upper one of two."""
    return sorted(values)[len(values) // 2]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _commit() -> str | None:
    """The commit of a clone, with + where the tree was changed; None where there is no git or no clone."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],  # noqa: S607 - wherever git is
            cwd=ROOT, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() or None


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
