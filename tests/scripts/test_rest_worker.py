"""`roleta work` with SUPABASE_URL and the service key alone: no connection to Postgres, the same promises."""

import json
from uuid import UUID

from scripts.simulator.process import SimulatorProcess
from shared import outbox
from shared.db import Database
from tests.contract.postgrest_server import SERVICE_KEY, postgrest_server
from tests.scripts.roleta import Roleta, ended
from tests.waiting import eventually


def test_a_worker_sends_over_postgrest(
    bare_roleta: Roleta, simulator: SimulatorProcess, db: Database, database_url: str, aura: UUID
) -> None:
    """It claims, sends and records as service_role; the message arrives once, and SIGTERM ends it well."""
    message = outbox.enqueue(
        db, purpose="direct", phone="5511980001234", dedupe_key="a", enqueued_by="the test", text="Oi"
    ).message_id
    with postgrest_server(database_url) as url:
        worker = bare_roleta.started(
            "work",
            SUPABASE_URL=url,
            SUPABASE_SERVICE_ROLE_KEY=SERVICE_KEY,
            ROLETA_ZAPI_BASE_URL=simulator.base_url,
        )
        with ended(worker) as running:
            eventually(lambda: outbox.explain(db, message)["dispatch_state"] == "accepted", 60)
            assert running.asked_to_stop() == 0
            said = running.said

    assert [entry["text"] for entry in simulator.accepted()] == ["Oi"]
    moves = ("leased", "sending", "accepted")
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert [each for each in events if each in moves] == list(moves)
    assert not {"cannot claim", "a duty failed"} & set(events)
    assert SERVICE_KEY not in said
