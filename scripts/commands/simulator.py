"""`roleta simulator`: the Z-API simulator by hand, and a client's phone for the one that `up` runs."""

import os
import sys
import zlib

import click
import httpx

from scripts import run_file
from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from scripts.sample_agency import MANAGER
from shared.db import Database
from shared.errors import Conflict, InvalidInput, NotFound, RoletaError

AGENCY = "agency"


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_surroundings
def simulator(around: Surroundings, arguments: tuple[str, ...]) -> None:
    """Run the Z-API simulator, or play a client's phone (scan CLIENT, remove CLIENT)."""
    if arguments and arguments[0] in ("scan", "remove"):
        play_phone(around, *arguments)
        return
    sys.stdout.flush()
    # It becomes this process, so that signals and the parent's death are its own.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "scripts.simulator", *arguments])  # noqa: S606


def play_phone(around: Surroundings, deed: str, *words: str) -> None:
    """The phone of a client of the sample's agency scans the code that is shown, or removes the device."""
    if len(words) != 1:
        raise InvalidInput(
            f"say whose phone: roleta simulator {deed} CLIENT (a part of the name, or {AGENCY!r})"
        )
    run = run_file.read(around.home)
    if run is None or run.evolution_url is None:
        raise Conflict("no sample agency is running here: start `python3 scripts/up.py` in another terminal")
    with Database(run.database_url, max_size=1, application_name="roleta simulator") as db:
        label, name = _connection(db, words[0])
    if deed == "scan":
        _tell(run.evolution_url, "scan", instance=name, phone=_phone_of(name), name=label)
        say(f"{label}: the code was scanned")
    else:
        _tell(run.evolution_url, "device_removed", instance=name)
        say(f"{label}: the phone removed the device")


def _phone_of(name: str) -> str:
    """The same invented phone whenever this client scans."""
    return f"55119{zlib.crc32(name.encode()) % 10**8:08d}"


def _connection(db: Database, wanted: str) -> tuple[str, str]:
    """Label and Evolution's name of the one client that is meant."""
    rows = db.rows(
        """
        select coalesce(l.client_label, 'the agency') as label, c.instance_name as name
        from public.whatsapp_connections as c
        left join public.client_manager_links as l on c.client_id = l.client_user_id
        where c.agency_id = %(agency)s and c.instance_name is not null
        order by l.client_label
        """,
        {"agency": MANAGER},
    )
    part = wanted.strip().casefold()
    if part == AGENCY:
        found = [row for row in rows if row["label"] == "the agency"]
    else:
        found = [row for row in rows if row["label"].casefold() == part] or [
            row for row in rows if part and part in row["label"].casefold()
        ]
    if len(found) != 1:
        known = ", ".join(row["label"] for row in rows) or "none yet: press Conectar WhatsApp first"
        raise NotFound(f"{len(found)} connections match {wanted!r}; there are: {known}")
    return found[0]["label"], found[0]["name"]


def _tell(url: str, control: str, **fields: str) -> None:
    try:
        answer = httpx.post(f"{url}/control/{control}", json=fields, trust_env=False, timeout=10)
    except httpx.HTTPError:
        raise Conflict("the simulator of Evolution API does not answer: is `up` about to end?") from None
    if answer.status_code != 200:
        raise RoletaError(f"the simulator refused: {answer.json().get('error', answer.status_code)}")
