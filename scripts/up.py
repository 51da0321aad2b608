"""`python3 scripts/up.py`: makes `.venv` where needed, then becomes `roleta up` with the same arguments.

Standard library only; what `up` does is scripts/cli.py's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":  # Python put scripts/ there
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from scripts.environment import EnvironmentProblem, ensure


def main() -> None:
    """Replace this process by the venv's Python, so that signals and the exit code are `roleta up`'s own."""
    try:
        python = ensure()
    except EnvironmentProblem as problem:
        sys.exit(f"roleta: {problem}")
    except KeyboardInterrupt:
        sys.exit("roleta: interrupted; run this again to go on")
    sys.stdout.flush()
    # -P: the folder one stands in never hides our packages.
    os.execv(python, [str(python), "-P", "-m", "scripts.cli", "up", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
