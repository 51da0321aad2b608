"""Every request that was recorded of a real Evolution 2.3.7, replayed against the simulator: same status,
same body, to the letter but for ids, times, keys and addresses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.evolution_arrangements import arrange
from tests.contract.evolution_calls import GLOBAL_KEY, EvolutionCalls
from tests.contract.evolution_masks import masked, same
from tests.contract.receiver import Receiver

PAIRS = [
    json.loads(line)
    for line in (Path(__file__).parent / "evolution_pairs.jsonl").read_text(encoding="utf-8").splitlines()
]
_RECORDED_HOST = "http://127.0.0.1:9099"


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["case"].replace(" ", "-") for pair in PAIRS])
def test_answers_as_recorded(pair: dict[str, Any], evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Status and body are those of the real server in the same situation."""
    method, path = pair["req"].split(" ")
    body = pair.get("body")
    named = body.get("instanceName") if isinstance(body, dict) else None
    name = named or path.partition("?")[0].rpartition("/")[2]
    arrange(evolution, pair["case"], name)

    answer = _replayed(evolution, pair, method, path, receiver)

    assert answer.status_code == pair["status"]
    recorded, answered = masked(pair["resp"]), masked(answer.json())
    assert same(recorded, answered), f"recorded {recorded}\nanswered {answered}"


def _replayed(
    evolution: EvolutionCalls, pair: dict[str, Any], method: str, path: str, receiver: Receiver
) -> Any:
    headers = _credentials(evolution, pair, path)
    body = pair.get("body")
    if isinstance(body, str):
        forms = {"urlencoded": "application/x-www-form-urlencoded", "text/plain": "text/plain"}
        headers["content-type"] = forms.get(pair["case"], "application/json")
        return evolution.http.request(method, path, headers=headers, content=body)
    if body is None:
        return evolution.http.request(method, path, headers=headers)
    # A real address in place of the recorded one: it answers GET with 501, as that one did.
    here = json.loads(json.dumps(body).replace(_RECORDED_HOST, receiver.url.rpartition("/")[0]))
    return evolution.http.request(method, path, headers=headers, json=here)


def _credentials(evolution: EvolutionCalls, pair: dict[str, Any], path: str) -> dict[str, str]:
    if pair["case"] == "bearer instead":
        return {"authorization": f"Bearer {GLOBAL_KEY}"}
    match pair["key"]:
        case "global":
            return {"apikey": GLOBAL_KEY}
        case "wrong":
            return {"apikey": "wrong"}
        case "instance-token":
            owner = "race" if path.endswith("/race") else "min"
            rows = evolution.ask("GET", "/instance/fetchInstances").json()
            return {"apikey": next(row["token"] for row in rows if row["name"] == owner)}
    return {}


def test_every_recorded_case_is_here() -> None:
    """None of the 88 was left out, none is replayed twice."""
    assert len(PAIRS) == len({pair["case"] for pair in PAIRS}) == 88
