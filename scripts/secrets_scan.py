"""Looks for credentials in the tree and in its whole history: `python3 -m scripts.secrets_scan`.

Only shapes that are somebody's key for certain: made-up ones of tests have none of them. scripts/check runs
it. Standard library only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Written in pieces, so that this file holds none of what it looks for.
SHAPES = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY" + r"-----\s*[A-Za-z0-9+/=]{16}",
    "an AWS key": r"\b(?:AKIA|ASIA)" + r"[0-9A-Z]{16}\b",
    "a live key of Stripe": r"\b[sr]k_live_" + r"[0-9a-zA-Z]{20,}",
    "a webhook secret of Stripe": r"\bwhsec_" + r"[0-9a-zA-Z+/]{32,}",
    "a token of GitHub": r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_" + r"[0-9A-Za-z_]{60,})",
    "a token of Slack": r"\bxox[abprs]-" + r"[0-9A-Za-z-]{20,}",
    "a key of Google": r"\bAIza" + r"[0-9A-Za-z_-]{35}\b",
    "a key of OpenAI": r"\bsk-(?:proj-)?" + r"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    "a key of Supabase": r"\bsb_secret_" + r"[0-9A-Za-z_-]{20,}",
    "a token of Meta": r"\bEAA" + r"[0-9A-Za-z]{80,}",
    # Header and payload of a signed token whose role is the service's.
    "a service token": r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]*" + r"(?:InJvbGUiOiJzZXJ2aWNlX3JvbGUi)",
    "a Supabase database": r"postgres(?:ql)?://[^\s:@/]+:[^\s@/]{8,}@" + r"[\w.-]+\.supabase\.(?:co|com)",
}
_FOUND = re.compile("|".join(f"(?P<_{index}>{shape})" for index, shape in enumerate(SHAPES.values())))
_TOO_LARGE = 5_000_000


def findings(lines: Iterable[tuple[str, str]]) -> list[str]:
    """What each of the (place, text) holds, never the credential itself."""
    kinds = list(SHAPES)
    return [
        f"{place} holds {kinds[int((found.lastgroup or '_0')[1:])]}"
        for place, text in lines
        for found in _FOUND.finditer(text)
    ]


def tree(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Every file that is, or could be, committed."""
    for name in _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        file = root / name
        if name and file.is_file() and file.stat().st_size < _TOO_LARGE:
            yield name, file.read_bytes().decode(errors="replace")


def history(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """What each commit of every branch added; a shallow clone has what it has."""
    log = _git(root, "log", "--all", "--no-color", "--no-ext-diff", "-p", "-U0", "--format=commit %h")
    commit = ""
    added: list[str] = []
    for line in log.split("\n"):
        if line.startswith("commit "):
            yield commit, "\n".join(added)
            commit, added = line, []
        elif line.startswith("+"):
            added.append(line[1:])
    yield commit, "\n".join(added)


def fault() -> str:
    """All findings, a line each; empty where there is none."""
    return "\n".join(findings([*tree(), *history()]))


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=True, timeout=120)  # noqa: S607
    return done.stdout.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(fault() or None)
