"""The key that seals credentials in the embedded server's databases: made once, kept beside its password."""

import contextlib
from pathlib import Path

from scripts.server_data import write_private
from shared import credentials

FILE = "credentials.keys"


def ring_of(home: Path, given: str | None) -> str:
    """What ROLETA_CREDENTIALS_KEYS is for a server in `home`: the `given` one, which seals, and the file's
    own, which still opens what was sealed before it was given."""
    own = _own(home / FILE)
    if given is None:
        return own
    known = credentials.parse(given).key_ids
    return given if credentials.parse(own).key_ids[0] in known else f"{given},{own}"


def _own(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    # Under another name and then renamed: whoever is killed half-way has sealed nothing yet.
    draft = file.with_suffix(".draft")
    write_private(draft, credentials.new_entry())
    draft.replace(file)
    return file.read_text().strip()
