"""The people that `up` signs up: read from a CSV, posted to start-trial a few at a time."""

import csv
import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shared import phones
from shared.errors import InvalidInput

SAMPLE = Path(__file__).with_name("people_sample.csv")
COLUMNS = ("name", "phone", "email")
MAX_BYTES = 50_000_000
AT_ONCE = 4
TRIES = 30
PAUSE_S = 1.0
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True)
class Person:
    """One line of the file; `line` is its number there."""

    line: int
    name: str = field(repr=False)
    phone: str = field(repr=False)
    email: str = field(repr=False)


def read_people(path: Path) -> list[Person]:
    """The people of a CSV with the columns name, phone and email (which may be empty), "," or ";".

    InvalidInput names the file, and the lines that cannot be posted, never a phone.
    """
    text = _text_of(path)
    table = csv.DictReader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
    try:
        table.fieldnames = [name.strip().lower() for name in table.fieldnames or []]
        missing = [name for name in COLUMNS if name not in table.fieldnames]
        if missing:
            raise InvalidInput(
                f"{path}: its first line must name the columns name, phone and email; "
                f"missing: {', '.join(missing)}"
            )
        rows = [(table.line_num, row) for row in table if any(_cell(row, name) for name in COLUMNS)]
    except csv.Error as problem:
        raise InvalidInput(f"{path}, line {table.line_num + 1}: {problem}") from None
    bad = [f"line {line}: {fault}" for line, row in rows if (fault := _fault(row))]
    if bad:
        more = f", and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise InvalidInput(f"{path}: {'; '.join(bad[:5])}{more}")
    if not rows:
        raise InvalidInput(f"{path} names nobody")
    return [Person(line, *(_cell(row, name) for name in COLUMNS)) for line, row in rows]


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(f"{path} is larger than {MAX_BYTES // 1_000_000} MB: split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not a text in UTF-8: save it as CSV UTF-8") from None


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    # What a Brazilian spreadsheet writes.
    return ";" if head.count(";") > head.count(",") else ","


def _cell(row: dict[str, Any], name: str) -> str:
    return str(row.get(name) or "").strip()


def _fault(row: dict[str, Any]) -> str | None:
    if None in row:
        return "more fields than columns"
    if not _cell(row, "name"):
        return "no name"
    if (email := _cell(row, "email")) and not _EMAIL.fullmatch(email):
        return "email is no e-mail address"
    try:
        phones.normalize(_cell(row, "phone"))
    except InvalidInput:
        return "phone is no telephone number"
    return None


class Posting:
    """Posts people to start-trial from threads of its own; the counters may be read at any time."""

    def __init__(self, people: list[Person], gateway: str, service_key: str) -> None:
        """`service_key`: these are no strangers, so the limits for an address are not theirs."""
        self.people = people
        self._headers = {"Authorization": f"Bearer {service_key}"}
        self.new = self.known = self.without_number = 0
        self.refused: list[str] = []
        self._url = f"{gateway}/functions/v1/start-trial"
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="posting", daemon=True)

    @property
    def posted(self) -> int:
        """How many have their answer, whatever it was."""
        return self.new + self.known + len(self.refused)

    @property
    def over(self) -> bool:
        """Nobody is left to be posted."""
        return self.posted >= len(self.people)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Post nobody else, and wait for what is under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as http, ThreadPoolExecutor(AT_ONCE) as threads:
            for person in self.people:
                threads.submit(self._post, http, person)

    def _post(self, http: httpx.Client, person: Person) -> None:
        body = {"name": person.name, "phone": person.phone, "email": person.email or None}
        for _ in range(TRIES):
            if self._stop.is_set():
                return
            try:
                answer = http.post(self._url, json=body, headers=self._headers)
            except httpx.TransportError:
                self._stop.wait(PAUSE_S)
                continue
            # Away for a moment: asking again is harmless, since a phone is signed up once.
            if answer.status_code < 500:
                self._count(person, answer)
                return
            self._stop.wait(PAUSE_S)
        self._refuse(person, "the gateway did not answer")

    def _count(self, person: Person, answer: httpx.Response) -> None:
        try:
            said = answer.json()
        except ValueError:
            said = {}
        if answer.status_code != 200:
            self._refuse(person, str(said.get("error") or f"HTTP {answer.status_code}"))
            return
        with self._counting:
            if said.get("alreadyExists"):
                self.known += 1
            else:
                self.new += 1
                self.without_number += said.get("warning") == "no_room"

    def _refuse(self, person: Person, why: str) -> None:
        with self._counting:
            self.refused.append(f"line {person.line}: {why}")
