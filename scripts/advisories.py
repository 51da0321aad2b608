"""`python3 scripts/advisories.py`: known vulnerabilities of what is locked, as OSV knows them.

Ends with 0 where none is known, with 1 and their ids where some are, and with 2 where the service could not
be reached: then nothing was looked at, and the line says so. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt")
SERVICE = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 30
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


def locked(root: Path = ROOT) -> list[tuple[str, str]]:
    """Names and versions of both lock files."""
    texts = [(root / lock).read_text(encoding="utf-8") for lock in LOCKS]
    return sorted({pinned for text in texts for pinned in _PINNED.findall(text)})


def known(packages: list[tuple[str, str]], service: str = SERVICE) -> dict[str, list[str]]:
    """The ids of advisories by "name version". OSError or ValueError where the service does not answer as
    it should."""
    if not service.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("the service is asked over https")
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages
    ]
    request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
        service, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        results: Any = json.load(answer)["results"]
    if len(results) != len(packages):
        raise ValueError("the service answered something else")
    return {
        f"{name} {version}": [each["id"] for each in result["vulns"]]
        for (name, version), result in zip(packages, results, strict=True)
        if result.get("vulns")
    }


def main(service: str = SERVICE) -> int:
    """Prints what is known; the exit code."""
    packages = locked()
    try:
        found = known(packages, service)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        print(f"advisories: NOT LOOKED AT, the service was not reached ({type(problem).__name__})")
        return 2
    for package, ids in found.items():
        print(f"advisories: {package}: {', '.join(ids)}")
    print(f"advisories: {len(found)} of {len(packages)} locked packages have some")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
