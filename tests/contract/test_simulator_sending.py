"""The simulator as a judge: what it accepts is in its log before anybody is told, and nothing else is."""

import threading
from pathlib import Path

import httpx
import pytest

from scripts.simulator.options import ACCEPTING_FAULTS, CLEAR_FAULTS, FAULT_KINDS, SIX_FAULTS
from scripts.simulator.process import SimulatorError, SimulatorProcess
from shared import clock
from shared.providers.base import AttemptReport, Content, Outcome
from shared.providers.zapi import ZApiClient
from tests.contract.adapters import PHONE
from tests.contract.conftest import client_of
from tests.waiting import eventually


def _send(zapi: ZApiClient, text: str = "oi", phone: str = PHONE) -> AttemptReport:
    return zapi.send(phone, Content("text", text), deadline=clock.monotonic() + 5)


def _raw(simulator: SimulatorProcess, action: str, body: object) -> httpx.Response:
    one = simulator.instances()[0]
    url = f"{simulator.base_url}/instances/{one['id']}/token/{one['token']}/{action}"
    return httpx.post(url, json=body, headers={"Client-Token": one["client_token"]}, trust_env=False)


def test_an_acceptance_is_in_the_log_with_its_ids(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """The line names the number, the person, the content and both ids that the caller was given."""
    report = _send(zapi, "Olá 😀")
    (line,) = simulator.accepted()

    assert (report.provider_message_id, report.provider_queue_id) == (line["messageId"], line["zaapId"])
    assert (simulator.instances()[0]["id"], PHONE, "text") == (
        line["instance_id"],
        line["phone"],
        line["kind"],
    )
    assert (line["text"], line["media"], line["fault"]) == ("Olá 😀", None, None)
    assert line["at"] > 1_700_000_000


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (Content("audio", media_url="https://m.example/a.ogg"), "audio", None),
        (Content("image", "legenda", "https://m.example/a.png"), "image", "legenda"),
        (Content("document", None, "https://m.example/a.pdf", "a.pdf"), "document", None),
    ],
    ids=["audio", "image", "document"],
)
def test_media_is_accepted_like_text(
    content: Content, kind: str, text: str | None, simulator: SimulatorProcess, zapi: ZApiClient
) -> None:
    """Each kind of content arrives as what it is."""
    report = zapi.send(PHONE, content, deadline=clock.monotonic() + 5)
    (line,) = simulator.accepted()

    assert report.outcome is Outcome.ACCEPTED
    assert (kind, text, content.media_url) == (line["kind"], line["text"], line["media"])


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_fault_ends_as_it_should(kind: str, simulator: SimulatorProcess, http: httpx.Client) -> None:
    """The caller's outcome is right for what really happened, and the log says what that was."""
    simulator.control("faults", upcoming=[kind], hang_s=0.4, slow_s=0.05)
    report = _send(client_of(simulator, http, 0))
    (fault,) = simulator.faults()
    clear = {"slow": Outcome.ACCEPTED, "429": Outcome.NOT_SENT, "refused": Outcome.REJECTED}
    expected = clear.get(kind, Outcome.UNKNOWN)

    assert expected is report.outcome
    assert (kind, kind in ACCEPTING_FAULTS, kind not in CLEAR_FAULTS) == (
        fault["kind"],
        fault["accepted"],
        fault["ambiguous"],
    )
    assert [kind] * (kind in ACCEPTING_FAULTS) == [line["fault"] for line in simulator.accepted()]


def test_an_acceptance_is_on_disk_before_its_answer(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """While a caller still waits for a slow answer, the line is already there."""
    simulator.control("faults", upcoming=["slow"], slow_s=1.0)
    sending = threading.Thread(target=_send, args=(zapi,))
    sending.start()
    eventually(lambda: len(simulator.accepted()) == 1, timeout=0.9)

    assert sending.is_alive()
    sending.join(5)


def test_faults_come_at_their_rate_and_repeat_with_their_seed(
    simulator: SimulatorProcess, zapi: ZApiClient
) -> None:
    """The same seed gives the same faults in the same places; all six kinds come, about as often as asked."""
    runs = []
    for _ in range(2):
        simulator.control("reset", everything=True)
        simulator.control("faults", rate=0.3, seed=7, hang_s=0.01)
        outcomes = [_send(zapi).outcome for _ in range(100)]
        runs.append((outcomes, [fault["kind"] for fault in simulator.faults()]))
    counters = simulator.control("counters")

    assert runs[0] == runs[1]
    assert set(runs[0][1]) == set(SIX_FAULTS)
    assert 15 <= len(runs[0][1]) <= 45
    assert counters["ambiguous"] == len(runs[0][1]) == sum(counters["faults_by_kind"].values())
    assert counters["accepted"] == len(simulator.accepted())
    assert runs[0][0].count(Outcome.UNKNOWN) == counters["ambiguous"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"phone": PHONE}, "message is required"),
        ({"message": "oi"}, "phone is required"),
        ({"phone": PHONE, "message": ""}, "message is required"),
        ({"phone": 5551, "message": "oi"}, "phone is required"),
        ([], "phone is required"),
    ],
)
def test_a_missing_field__refused(body: object, words: str, simulator: SimulatorProcess) -> None:
    """By default 400 with Z-API's error object, and no line in the log."""
    answer = _raw(simulator, "send-text", body)

    assert (400, {"error": words}) == (answer.status_code, answer.json())
    assert simulator.accepted() == []


def test_no_number_is_checked_at_acceptance(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """A phone that is not on WhatsApp is accepted: that shows only later, by webhook."""
    one = simulator.instances()[0]["id"]
    simulator.control("contact", instance_id=one, phone=PHONE, exists=False)

    assert _send(zapi).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(("choice", "http_status"), [("clamp", 200), ("400", 400)])
def test_a_delay_out_of_range(choice: str, http_status: int, simulator: SimulatorProcess) -> None:
    """Undocumented, so both: brought into the range, or refused."""
    simulator.control("options", out_of_range_delay=choice)

    body = {"phone": PHONE, "message": "oi", "delayMessage": 99}
    assert http_status == _raw(simulator, "send-text", body).status_code


@pytest.mark.parametrize("no_route", [404, 200])
def test_an_unknown_route(no_route: int, simulator: SimulatorProcess) -> None:
    """The router's own words, under 404 or, as some clients saw, under 200."""
    simulator.control("options", no_route=no_route)
    answer = _raw(simulator, "send-nothing", {"phone": PHONE})

    assert (no_route, "NOT_FOUND") == (answer.status_code, answer.json()["error"])


def test_the_wrong_verb_and_the_wrong_type__refused(simulator: SimulatorProcess) -> None:
    """405 and 415 with empty bodies, before anything runs."""
    one = simulator.instances()[0]
    url = f"{simulator.base_url}/instances/{one['id']}/token/{one['token']}/send-text"
    headers = {"Client-Token": one["client_token"]}

    assert httpx.get(url, headers=headers, trust_env=False).status_code == 405
    plain = httpx.post(url, content=b"{}", headers={**headers, "Content-Type": "text/plain"}, trust_env=False)
    assert plain.status_code == 415
    assert simulator.accepted() == []


def test_a_rate_limit_is_per_number(simulator: SimulatorProcess, http: httpx.Client) -> None:
    """Beyond the limit 429 without Retry-After; the other number goes on."""
    simulator.control("options", rate_limit_per_minute=2)
    first, second = client_of(simulator, http, 0), client_of(simulator, http, 1)
    reports = [_send(first) for _ in range(3)]

    assert [one.outcome for one in reports] == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.NOT_SENT]
    assert reports[2].retry_after_s == 60.0
    assert _send(second).outcome is Outcome.ACCEPTED


def test_many_slow_requests_wait_side_by_side(simulator: SimulatorProcess) -> None:
    """A slow number does not hold up the others, nor its own other requests."""
    simulator.control("slow", seconds=0.4)
    began = clock.monotonic()
    threads = [
        threading.Thread(target=_raw, args=(simulator, "send-text", {"phone": PHONE, "message": "oi"}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(simulator.accepted()) == 8
    assert clock.monotonic() - began < 8 * 0.4


@pytest.mark.parametrize(
    ("call", "fields", "named"),
    [
        ("faults", {"kinds": ["explode"]}, "explode"),
        ("faults", {"rate": 2}, "rate"),
        ("receipts", {"mode": "backwards"}, "mode"),
        ("options", {"nonsense": 1}, "nonsense"),
        ("options", {"webhook_gzip": "yes"}, "webhook_gzip"),
        ("connect", {"instance_id": "nobody"}, "instance_id"),
        ("contact", {}, "instance_id"),
        ("add-instance", {"colour": "red"}, "colour"),
        ("slow", {"seconds": -1}, "seconds"),
        ("nothing", {}, "counters"),
    ],
)
def test_a_wrong_control_call__refused(
    call: str, fields: dict[str, object], named: str, simulator: SimulatorProcess
) -> None:
    """A control call that means nothing says what there is, and changes nothing."""
    with pytest.raises(SimulatorError, match=named):
        simulator.control(call, **fields)
    assert simulator.control("faults")["rate"] == 0


def test_an_instance_is_added_while_it_runs(simulator: SimulatorProcess, http: httpx.Client) -> None:
    """A new number sends at once; the same id twice is refused."""
    simulator.control("add-instance", id="NEW1", token="NEWTOKEN", client_token=None, phone="5551900000042")
    client = ZApiClient("NEW1", "NEWTOKEN", base_url=simulator.base_url, http=http)

    assert client.device().phone == "5551900000042"
    assert _send(client).outcome is Outcome.ACCEPTED
    with pytest.raises(SimulatorError, match="already"):
        simulator.control("add-instance", id="NEW1")


def test_a_trial_number_is_told_apart_in_its_queue(simulator: SimulatorProcess, http: httpx.Client) -> None:
    """The log keeps the text as it was sent; the trial's notice is added on the way out."""
    simulator.control("add-instance", id="TRIAL1", token="TRIALTOKEN", client_token=None, trial=True)
    _send(ZApiClient("TRIAL1", "TRIALTOKEN", base_url=simulator.base_url, http=http), "oi")

    assert [line["text"] for line in simulator.accepted()] == ["oi"]


def test_the_log_survives_its_process_and_a_half_line(tmp_path: Path) -> None:
    """A second process writes on behind the first; a line that was cut is not read."""
    log = tmp_path / "log.jsonl"
    for _ in range(2):
        with SimulatorProcess(log=log, instances=1) as process:
            one = process.instances()[0]
            client = ZApiClient(one["id"], one["token"], one["client_token"], base_url=process.base_url)
            _send(client)
            client.close()
    with log.open("a") as file:
        file.write('{"event": "accep')

    assert len(process.accepted()) == 2
