"""The README's commands work as they stand there, and its words and pictures are in step with the code."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from scripts import launch
from tests.scripts.roleta import FOREIGN, Roleta, RunningRoleta, ended

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FUNCTIONS = (ROOT / "edge" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README + FUNCTIONS, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line and not line.startswith("#")]
FRONTS = ["python3 scripts/up.py", "python3 scripts/test.py"]


def _bare(command: str) -> str:
    return command.partition("  #")[0].strip()


def test_the_readme_opens_with_the_two_commands() -> None:
    """What a stranger reads first is what starts and what proves everything."""
    assert [_bare(command) for command in COMMANDS[:2]] == FRONTS


@pytest.mark.slow
def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    """`up` is started as it says, and each roleta command beside it ends well; none shows a whole phone."""

    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment = kept | Roleta(tmp_path).environment({"ROLETA_GATEWAY_PORT": "0"})
    up, prove, *rest = [_bare(command) for command in COMMANDS]
    with ended(RunningRoleta(up.split(), environment)) as running:
        running.hears("→ …", timeout=120)
        for command in [*rest, f"{prove} tests/unit/test_phones.py"]:
            answer = subprocess.run(  # noqa: S602 - the README's own lines, as a shell reads them
                command,
                check=False,
                shell=True,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
            assert not re.search(r"\b55\d{10,11}\b", answer.stdout), command
        assert running.asked_to_stop() == 0


def test_the_table_of_combinations_is_the_codes_own() -> None:
    """Each row of the README's table has the same database and provider as the row in scripts/launch."""

    def rows(text: str) -> list[tuple[str, ...]]:
        found = re.findall(
            r"^\| (-|set) \| (-|set) \| (embedded|yours)\W.*?\| (simulator|Z-API) \|", text, re.MULTILINE
        )
        return sorted(found)

    assert rows(README) == rows(launch.__doc__ or "")
    assert len(rows(README)) == 4


def test_what_the_readme_links_to_is_there() -> None:
    """Files and pictures exist, and no address of the outside is needed to read it."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    assert "http://" not in README.replace("http://127.0.0.1", "")


def test_the_words_of_the_house_are_in_its_glossary() -> None:
    """The glossary explains each lane, outcome and receipt by the words that the database uses."""
    for word in ("reply", "timed", "bulk", "accepted", "rejected", "not_sent", "unknown", "delivered"):
        assert f"{word}" in README
