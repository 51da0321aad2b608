"""The files of this repository, without what is made from them (.venv, caches, data of servers, builds).

Standard library only, and without git: a copy of the tree has none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_OURS = {".git", ".hypothesis", ".venv", ".roleta", ".env", ".venv.lock", "build", "dist", "node_modules"}


def own_files(root: Path) -> Iterator[Path]:
    """Every file below `root` that somebody wrote; paths as `root` was given."""
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in NOT_OURS and not name.endswith(("cache__", "_cache", ".egg-info"))
        ]
        yield from (Path(folder) / name for name in files if name not in NOT_OURS)
