"""What has happened before each recorded request of evolution_pairs.jsonl, read from the case's name."""

from collections.abc import Callable
from typing import Any

from tests.contract.evolution_calls import EvolutionCalls

Arrange = Callable[[EvolutionCalls, str], Any]
CACHED = "5511999999999"
CACHED_LATER = "5511999990009"


def _never(calls: EvolutionCalls, name: str) -> None:
    calls.create(name)


def _connecting(calls: EvolutionCalls, name: str) -> None:
    calls.connecting(name)


def _open(calls: EvolutionCalls, name: str) -> None:
    calls.opened(name)


def _cached(calls: EvolutionCalls, name: str) -> None:
    calls.create(name)
    assert calls.text(calls.opened("other"), CACHED).status_code == 201


def _counting(count: int) -> Arrange:
    def arrange(calls: EvolutionCalls, name: str) -> None:
        calls.connecting(name)
        calls.control("qr_turn", instance=name, times=count - 1)

    return arrange


def _removed(calls: EvolutionCalls, name: str) -> None:
    assert calls.text(calls.opened(name), CACHED_LATER).status_code == 201
    calls.control("device_removed", instance=name)


def _logged_out_after(count: int) -> Arrange:
    def arrange(calls: EvolutionCalls, name: str) -> None:
        _counting(count)(calls, name)
        assert calls.ask("DELETE", f"/instance/logout/{name}").status_code == 200

    return arrange


def _dropped(calls: EvolutionCalls, name: str) -> None:
    calls.opened(name)
    calls.control("drop", instance=name, seconds=10_000)


def _unreachable(calls: EvolutionCalls, name: str) -> None:
    calls.control("unreachable")
    calls.create(name)
    calls.ask("GET", f"/instance/connect/{name}")


def _with_webhook(calls: EvolutionCalls, name: str) -> None:
    calls.create(name)
    webhook = {
        "enabled": True,
        "url": "http://127.0.0.1:9099/min",
        "headers": {"authorization": "Bearer abc", "X-A": "1"},
        "byEvents": False,
        "base64": True,
        "events": ["QRCODE_UPDATED", "CONNECTION_UPDATE"],
    }
    assert calls.ask("POST", f"/webhook/set/{name}", {"webhook": webhook}).status_code == 201


def _lost_race(calls: EvolutionCalls, name: str) -> None:
    calls.control("create_race", instance=name, **{"as": "loser"})


def _won_race(calls: EvolutionCalls, name: str) -> None:
    calls.control("create_race", instance=name, **{"as": "winner"})
    calls.create(name)


def _gone(calls: EvolutionCalls, name: str) -> None:
    calls.connecting(name)
    calls.ask("DELETE", f"/instance/delete/{name}")
    calls.until(name, None)


def _absent(calls: EvolutionCalls, name: str) -> None:
    calls.opened(name)
    calls.control("not_on_whatsapp", numbers=["5511900000000"])


def _after_limit(calls: EvolutionCalls, name: str) -> None:
    calls.connecting(name)
    calls.control("qr_limit", instance=name)
    calls.ask("GET", f"/instance/connect/{name}")
    calls.control("qr_turn", instance=name, times=10)


def _two_instances(calls: EvolutionCalls, name: str) -> None:
    calls.create("min")
    calls.create("uf")


def _nothing(calls: EvolutionCalls, name: str) -> None:
    pass


# By instance, where the case's name says nothing else.
BY_INSTANCE: dict[str, Arrange] = {
    "min": _never,
    "fresh": _never,
    "alpha": _open,
    "beta": _open,
    "zeta": _open,
    "plain": _connecting,
    "down": _unreachable,
}
BY_CASE: dict[str, Arrange] = {
    "sendText never connected, number in the 7-day cache": _cached,
    "sendAudio closed": _cached,
    "duplicate no key": lambda calls, name: calls.create("min"),
    "instance token create": lambda calls, name: calls.create("min"),
    "instance token on other instance": _two_instances,
    "instance token fetchInstances other name": _two_instances,
    "webhook find": _with_webhook,
    "webhook set empty url": _with_webhook,
    "create with qrcode:true": _nothing,
    "state connecting": _connecting,
    "whatsappNumbers": _absent,
    "sendText after device_removed": _removed,
    "sendText after device_removed uncached": _removed,
    "logout after device_removed": _removed,
    "restart after device_removed": _removed,
    "logout twice": _logged_out_after(1),
    "connect after logout": _logged_out_after(2),
    "logout connecting": _connecting,
    "restart connecting": _counting(4),
    "parallel connect": _logged_out_after(7),
    "delete connecting": _connecting,
    "state after delete": _gone,
    "create race, a loser": _lost_race,
    "create race, winner afterwards: fetch": _won_race,
    "create race, winner afterwards: state": _won_race,
    "connect after limit": _after_limit,
    "state right after": _dropped,
    "sendText right after, new number": _dropped,
}


def arrange(calls: EvolutionCalls, case: str, name: str) -> None:
    """Bring the server into the state in which the case was recorded."""
    BY_CASE.get(case, BY_INSTANCE.get(name, _nothing))(calls, name)
