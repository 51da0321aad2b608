"""The HTTP manners of the gateway: routes, methods, CORS, request ids, health, the access log."""

import uuid

import httpx
import pytest

from edge.functions import load_functions
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, Number, sign_up

SLUGS = [function.slug for function in load_functions()]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/functions/v1",
        f"{FUNCTIONS}/nothing",
        f"{FUNCTIONS}/start_trial",
        f"{FUNCTIONS}/start-trial/more",
    ],
)
def test_unknown_route_is_a_404_in_json(client: httpx.Client, path: str) -> None:
    """What does not exist says so, and where functions are."""
    answer = client.post(path, json={})
    assert answer.status_code == 404 and "/functions/v1/" in answer.json()["error"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_wrong_method_is_a_405_that_names_the_right_one(client: httpx.Client, method: str) -> None:
    """Every function takes POST and OPTIONS only."""
    for slug in SLUGS:
        answer = client.request(method, f"{FUNCTIONS}/{slug}")
        assert answer.status_code == 405 and answer.headers["allow"] == "OPTIONS, POST"
        assert method == "HEAD" or "POST" in answer.json()["error"]


def test_options_answers_an_empty_body_that_lets_any_page_call(client: httpx.Client) -> None:
    """CORS as the originals had it (functions 0)."""
    for slug in SLUGS:
        answer = client.options(f"{FUNCTIONS}/{slug}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"]
        assert {"authorization", "apikey", "content-type"} <= set(allowed.split(", "))
        assert "POST" in answer.headers["access-control-allow-methods"]


def test_every_answer_has_cors_and_a_request_id(client: httpx.Client, number: Number) -> None:
    """Refusals too: a page must be able to read why."""
    answers = [sign_up(client), sign_up(client, phone="1"), client.post("/nothing"), client.get("/healthz")]
    assert [answer.status_code for answer in answers] == [200, 400, 404, 200]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert uuid.UUID(answer.headers["x-request-id"])


def test_request_id_of_the_caller_is_kept_only_where_it_is_one(client: httpx.Client, logs: Logs) -> None:
    """It stands in logs, so it may hold no phone, no blank and no novel."""
    good = "trace-7f3a.99_b"
    answer = client.get("/healthz", headers={"x-request-id": good})
    assert answer.headers["x-request-id"] == good
    assert logs.named("request")[-1]["request_id"] == good
    for bad in ("short", "x" * 65, "with blank in it", "id-5511987650001", "id;drop\ttable"):
        assert client.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"] != bad


def test_health_is_ok_while_the_database_answers(client: httpx.Client) -> None:
    """GET /healthz needs nobody's permission."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_access_log_has_one_line_per_request_with_the_route_and_no_secret(
    client: httpx.Client, number: Number, logs: Logs
) -> None:
    """The path of a webhook holds its secret, so the log has the route instead."""
    client.post(
        number.webhook, json={"instanceId": number.zapi_id}, headers={"z-api-token": number.zapi_token}
    )
    client.post(f"{number.webhook}/more", json={})
    client.post(f"{FUNCTIONS}/webhook_zapi/{number.webhook_token}", json={})
    client.post(f"{FUNCTIONS}/send-zapi-message", headers={"authorization": f"Bearer {SERVICE_KEY}"}, json={})
    client.request(number.webhook_token, f"{FUNCTIONS}/start-trial?token={number.webhook_token}")

    lines = logs.named("request")
    assert [(line["method"], line["status"], line["route"]) for line in lines] == [
        ("POST", 200, "/functions/v1/webhook-zapi/{webhook_token}"),
        ("POST", 404, "none"),
        ("POST", 404, "none"),
        ("POST", 400, "/functions/v1/send-zapi-message"),
        ("other", 400, "/functions/v1/start-trial"),
    ]
    assert all(line["duration_ms"] >= 0 for line in lines)
    for secret in (number.webhook_token, number.zapi_token, SERVICE_KEY):
        assert secret not in logs.text
