"""Uncertain messages for page tests: enqueued, begun and recorded as unknown by our own functions."""

import contextlib
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import psycopg

from tests.database.world import World
from tests.pages.office import Manager, Office

TEXT = "📊 *Relatório de anúncios*\n\nInvestimento: R$ 1.234,50\nConversões: 31"
DETAIL = "ReadTimeout: no answer within 75 s"


class Doubts:
    """Makes messages of which nobody can tell whether they were sent."""

    def __init__(self, office: Office, world: World) -> None:
        self.office = office
        self.world = world
        self._numbers: dict[object, UUID] = {}
        self._people = 0

    def number(self, manager: Manager, label: str | None, *, name: str | None = None) -> UUID:
        """The open number of a client, None: of the agency; made when it is first asked for."""
        key = (manager.user_id, label)
        if key not in self._numbers:
            made = f"adscape_{uuid4().hex[:16]}"
            place = len(self._numbers)
            self._numbers[key] = self.world.value(
                "insert into public.whatsapp_instances (name, provider, evolution_instance_name, agency_id,"
                " in_pool, accepts_new, max_users, status, phone_number)"
                " values (%s, 'evolution', %s, %s, false, false, 0, 'active', %s) returning id",
                name or made, made, manager.user_id, f"55119876543{place:02d}",
            )  # fmt: skip
            self.world.rows("select messaging.set_gaps(%s, 0, 0, 'test')", self._numbers[key])
            self.world.rows(
                "insert into public.whatsapp_connections (agency_id, client_id, instance_name, status,"
                " first_connected_at, whatsapp_instance_id) values (%s, %s, %s, 'connected', now(), %s)",
                manager.user_id, label and manager.clients[label], made, self._numbers[key],
            )  # fmt: skip
            self.world.rows(
                "insert into messaging.pairings"
                " (instance_id, pairing_state, started_at, limit_at, looked_at, is_settled)"
                " values (%s, 'connected', now(), now(), now(), true)",
                self._numbers[key],
            )
        return self._numbers[key]

    def of_client(self, label: str, *, by: str = "client", text: str = TEXT, **fields: object) -> int:
        """A report to a client of the office's manager, by the client's own number or the agency's."""
        return self.of(self.office.manager, label, by=by, text=text, **fields)

    def of(
        self, manager: Manager, label: str, *, by: str = "client", text: str = TEXT, **fields: object
    ) -> int:
        """A report to a client of some manager."""
        client = str(manager.clients[label])
        number = self.number(manager, label if by == "client" else None)
        told = {"client_id": client, "spoken_by": by, "sent_from": "adscape"}
        return self.unknown(number, text, purpose="agency_report", subject_id=client, facts=told, **fields)

    def of_the_house(
        self, person: str | None = "Ana Souza", *, text: str = "Oi, Ana!", **fields: object
    ) -> int:
        """A message to a person of the house's pool."""
        if None not in self._numbers:
            self._numbers[None] = self.world.number(gap=(0, 0), name="Aura #1")
        if person is not None:
            profile = self.world.profile(f"55119{self._people:04d}7788")
            self.world.rows("update public.profiles set name = %s where id = %s", person, profile)
            fields["profile_id"] = str(profile)
        return self.unknown(self._numbers[None], text, **fields)

    def unknown(self, number: UUID, text: str, **fields: object) -> int:
        """Any message, begun, and never heard of again."""
        self._people += 1
        fields.setdefault("phone", f"551198{self._people:03d}6655")
        message = self.world.enqueue(number, content={"kind": "text", "text": text}, **fields)
        self.fail_again(message)
        return message

    def fail_again(self, message: int) -> None:
        """The next attempt of a message ends as unknown."""
        self.world.record(self.world.begun(message), "unknown", p_detail=DETAIL)

    def evidence(self, message: int, source: str, says: str, detail: str = "") -> None:
        """What a source said of the last attempt."""
        self.world.rows(
            "insert into messaging.evidence"
            " (message_id, attempt_id, source, says, happened_at, seen_at, detail)"
            " select %s, max(a.id), %s, %s, now(), now(), %s"
            " from messaging.attempts as a where a.message_id = %s",
            message, source, says, detail, message,
        )  # fmt: skip

    def state(self, message: int) -> str:
        """Where a message stands."""
        return str(self.world.value("select dispatch_state from messaging.outbox where id = %s", message))

    def decisions(self) -> list[tuple[object, ...]]:
        """Which message, which decision, whose, and why."""
        rows: Sequence[dict[str, object]] = self.world.rows(
            "select message_id, decision, decided_by, why from messaging.decisions order by id"
        )
        return [tuple(row.values()) for row in rows]


@contextlib.contextmanager
def doubts_of(office: Office) -> Iterator[Doubts]:
    """Over a connection of its own."""
    with psycopg.connect(office.database_url, autocommit=True) as connection:
        yield Doubts(office, World(connection))
