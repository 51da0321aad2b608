"""The Evolution simulator's gate (order of checks, keys, refusals), its versions, and the process itself."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorError
from tests.contract.evolution_calls import EvolutionCalls

FIELDS = ["instanceName", "integration", "token", "webhook", "events", "headers", "url", "enabled", "text"]
FIELDS += ["number", "media", "mediatype", "audio", "quoted", "mentioned", "messageId", "numbers", "qrcode"]
FIELDS += ["fileName", "caption", "proxyHost", "proxyPort", "byEvents"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "/instance/create",
        {"instanceName": "b", "integration": "WHATSAPP-BAILEYS", "webhook": {"url": "", "events": []}},
    ),
    ("/webhook/set/a", {"webhook": {"enabled": True, "url": "", "events": []}}),
    ("/message/sendText/a", {"number": "5511999990001", "text": "oi"}),
    ("/message/sendMedia/a", {"number": "5511999990001", "mediatype": "document", "media": "aGVsbG8="}),
    ("/message/sendWhatsAppAudio/a", {"number": "5511999990001", "audio": "aGVsbG8="}),
    ("/chat/whatsappNumbers/a", {"numbers": ["5511999990001"]}),
]


def _refused(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["response"]["message"]


def test_the_order_of_checks(evolution: EvolutionCalls) -> None:
    """Route, instance, name, key, body: each hides those behind it."""
    evolution.create("a")
    nothing: dict[str, Any] = {}
    steps = [
        (("POST", "/message/sendNothing/ghost", nothing, None), 404),
        (("POST", "/message/sendText/ghost", nothing, None), 404),
        (("POST", "/instance/create", {"instanceName": "a"}, None), 403),
        (("POST", "/message/sendText/a", nothing, None), 401),
        (("POST", "/message/sendText/a", nothing, evolution.server.key), 400),
    ]
    for (method, path, body, key), http_status in steps:
        assert evolution.ask(method, path, body, key=key).status_code == http_status
    assert _refused(evolution.ask("POST", "/message/sendNothing/ghost", nothing, key=None)) == (
        404,
        ["Cannot POST /message/sendNothing/ghost"],
    )


def test_two_instances_with_one_token(evolution: EvolutionCalls) -> None:
    """Both are created, and the token lists both; the global key lists all."""
    for name in ("a", "b"):
        evolution.create(name, token="shared")
    evolution.create("c")

    own = evolution.ask("GET", "/instance/fetchInstances", key="shared").json()
    assert [row["name"] for row in own] == ["a", "b"]
    assert len(evolution.ask("GET", "/instance/fetchInstances").json()) == 3
    assert evolution.ask("GET", "/instance/fetchInstances?instanceName=c", key="shared").status_code == 401
    assert evolution.ask("DELETE", "/instance/delete/a", key="shared").status_code == 200


@pytest.mark.parametrize(("profile", "named"), [("2.3.6", "b"), ("2.3.7", "b"), ("2.4.0", "a")])
def test_a_query_overrides_the_path(profile: str, named: str, evolution: EvolutionCalls) -> None:
    """After the key check, up to 2.3.7: one instance's token opens every other one."""
    evolution.control("server", profile=profile)
    token = evolution.create("a")["hash"]
    evolution.create("b")
    answer = evolution.ask("GET", "/instance/connectionState/a?instanceName=b", key=token)

    assert answer.json()["instance"]["instanceName"] == named


@pytest.mark.parametrize("name", ["a b", "a/b", "a?b", "..", "ação", "%41", ""])
def test_odd_names_are_created(name: str, evolution: EvolutionCalls) -> None:
    """The server takes nearly anything; our client must not."""
    assert evolution.create(name)["instance"]["instanceName"] == name


@pytest.mark.parametrize(
    ("name", "http_status", "said"), [(7, 500, "Expected String"), ("x" * 256, 400, "too long")]
)
def test_impossible_names(name: Any, http_status: int, said: str, evolution: EvolutionCalls) -> None:
    """The database refuses, in many lines; nothing stays."""
    body = {"instanceName": name, "integration": "WHATSAPP-BAILEYS"}
    answer = evolution.ask("POST", "/instance/create", body)

    assert answer.status_code == http_status
    message = answer.json()["response"]["message"]
    text = message if isinstance(message, str) else message[0]
    assert said in text
    assert "\n" in text
    assert evolution.ask("GET", "/instance/fetchInstances").json() == []


@pytest.mark.parametrize(("profile", "trimmed"), [("2.3.7", " a "), ("2.4.0", "a")])
def test_names_are_trimmed_in_2_4(profile: str, trimmed: str, evolution: EvolutionCalls) -> None:
    """Only there."""
    evolution.control("server", profile=profile)
    assert evolution.create(" a ")["instance"]["instanceName"] == trimmed


def test_a_refused_create_leaves_nothing(evolution: EvolutionCalls) -> None:
    """A webhook without events, a proxy that does not answer: the name is free again."""
    body = {"instanceName": "a", "integration": "WHATSAPP-BAILEYS"}
    for wrong in ({"webhook": {"url": "http://127.0.0.1:9/x"}}, {"proxyHost": "127.0.0.1", "proxyPort": "1"}):
        assert evolution.ask("POST", "/instance/create", {**body, **wrong}).status_code == 400
    assert evolution.ask("POST", "/instance/create", body).status_code == 201


@pytest.mark.parametrize(("profile", "http_status"), [("2.3.7", 404), ("2.4.0", 200)])
def test_versions_tell_themselves(profile: str, http_status: int, evolution: EvolutionCalls) -> None:
    """`GET /` names the version without a key; /health is new in 2.4."""
    evolution.control("server", profile=profile)

    assert evolution.ask("GET", "/", key=None).json()["version"] == profile
    assert evolution.ask("GET", "/health", key=None).status_code == http_status


def test_the_licence_gate(evolution: EvolutionCalls) -> None:
    """503 on every business route until it is activated; the version is told all the same."""
    evolution.create("a")
    evolution.control("licence_503")
    answer = evolution.ask("GET", "/instance/connectionState/a")

    assert (answer.status_code, answer.json()["code"]) == (503, "LICENSE_REQUIRED")
    assert evolution.ask("GET", "/").status_code == 200
    evolution.control("licence_503", on=False)
    assert evolution.state("a") == "close"


def test_a_database_error(evolution: EvolutionCalls) -> None:
    """The next answers are 500 with a text of many lines that must not be shown to anybody."""
    evolution.create("a")
    evolution.control("database_error", times=2)
    for _ in range(2):
        answer = evolution.ask("GET", "/instance/connectionState/a")
        assert answer.status_code == 500
        assert answer.json()["response"]["message"].count("\n") > 3
    assert evolution.state("a") == "close"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(BODIES), changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_no_body_makes_it_fall_over(
    route: tuple[str, dict[str, Any]], changes: dict[str, Any], evolution: EvolutionCalls
) -> None:
    """Whatever stands in whichever field is answered, as JSON; the fixture sees that it does not complain."""
    path, body = route
    if evolution.state("a") == 404:
        evolution.opened("a")
    webhook = body.get("webhook", {})
    answers = [evolution.ask("POST", path, {**body, **changes})]
    if webhook:
        answers.append(evolution.ask("POST", path, {**body, "webhook": {**webhook, **changes}}))

    for answer in answers:
        assert answer.status_code in {201, 200, 400, 403, 500}
        assert isinstance(answer.json(), dict | list)


def test_control_calls_say_what_to_change(evolution: EvolutionCalls) -> None:
    """An unknown call, instance, setting or value is refused, by name."""
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("nonsense", {}, "unknown control call"),
        ("drop", {"instance": "ghost"}, "unknown instance"),
        ("drop", {}, "unknown instance"),
        ("options", {"colour": 1}, "unknown setting"),
        ("receipts", {"mode": "sideways"}, "mode must be one of"),
        ("receipts", {"since": "PLAYED"}, "since must not come after until"),
        ("faults", {"upcoming": ["fire"]}, "unknown fault"),
        ("server", {"profile": "1.8"}, "profile must be one of"),
    ]
    for call, fields, said in calls:
        with pytest.raises(SimulatorError, match=said):
            evolution.control(call, **fields)


def test_a_reset_is_a_new_server(evolution: EvolutionCalls) -> None:
    """No instance, no line, the version and speed of the start."""
    evolution.text(evolution.opened("a"))
    evolution.control("server", profile="2.4.0", speed=1)
    evolution.control("reset", everything=True)

    assert evolution.server.instances() == []
    assert evolution.server.accepted() == []
    assert evolution.control("server") == {"profile": "2.3.7", "speed": 200.0}
    assert evolution.control("counters")["accepted"] == 0


def test_a_full_disk_accepts_nothing() -> None:
    """A line that cannot be written is no acceptance: the caller gets a 500."""
    if not Path("/dev/full").exists():
        pytest.fail("this test needs Linux's /dev/full")
    with (
        EvolutionSimulator(log=Path("/dev/full"), key="global-key-of-the-tests", speed=200) as process,
        EvolutionCalls(process) as calls,
    ):
        assert calls.text(calls.opened("a")).status_code == 500
        assert calls.control("counters")["accepted"] == 0


@pytest.mark.parametrize("wrong", [{"profile": "1.8"}, {"speed": 0.0}])
def test_wrong_arguments__refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    """It does not start as something else."""
    with pytest.raises(SimulatorError):
        EvolutionSimulator(log=tmp_path / "log", key="k", **wrong).start()


def test_a_key_may_begin_like_an_option(tmp_path: Path) -> None:
    """Keys are drawn at random, and one in sixty-four begins with a hyphen."""
    with EvolutionSimulator(log=tmp_path / "log", key="-key-of-the-tests", speed=200) as process:
        assert process.instances() == []
