"""A report's settings, its preview, "Enviar agora", and the log in words."""

import datetime
import re
from typing import Any

import pytest

from edge.pages.deliveries import entry_of
from shared.reports import Delivery
from tests.pages.office import Office
from tests.pages.test_agency import connected
from tests.pages.visitor import Visitor

CLIENT = "Padaria Sol"
FIELDS = {
    "frequency": "weekly",
    "weekday": "5",
    "month_day": "31",
    "send_time": "18:30",
    "period": "last_30_days",
    "phone": "11 97777-6655",
    "is_active": "on",
    "metric_roas": "on",
    "metric_revenue": "on",
    "include_comparison": "on",
}
NOW = datetime.datetime(2026, 11, 22, 15, 0, tzinfo=datetime.UTC)
ROW: dict[str, Any] = {
    "message_id": 7,
    "happened_at": NOW,
    "purpose": "agency_report",
    "client_id": None,
    "client_label": CLIENT,
    "phone_tail": "…6655",
    "dispatch_state": "queued",
    "delivery_state": None,
    "held_by": None,
    "reason": None,
    "expected_at": None,
    "expires_at": NOW,
    "spoken_by": "client",
    "sent_from": "adscape_c_1",
    "period_start": datetime.date(2026, 11, 15),
    "period_end": datetime.date(2026, 11, 21),
    "log_status": None,
}


def messages(office: Office) -> list[dict[str, Any]]:
    """The reports in the outbox."""
    return office.db.rows(
        "select content ->> 'text' as text, phone, facts from messaging.outbox"
        " where purpose = 'agency_report'"
    )


def settings(office: Office) -> list[dict[str, Any]]:
    """What is stored of settings."""
    return office.db.rows("select * from public.whatsapp_report_settings")


def test_what_is_set_is_shown_again(office: Office, visitor: Visitor) -> None:
    """Saved settings come back in the form."""
    page = office.path(CLIENT, "report")
    answer = visitor.post(page, FIELDS)
    assert answer.headers["location"].endswith("/report?notice=saved")

    text = visitor.get(page).text
    [stored] = settings(office)
    assert (stored["frequency"], stored["weekday"], stored["month_day"]) == ("weekly", 5, 31)
    assert (stored["send_time"], stored["is_active"]) == (datetime.time(18, 30), True)
    assert (stored["phone_number"], stored["report_period_type"]) == ("5511977776655", "last_30_days")
    assert {name for name, on in stored["metrics"].items() if on} == {"roas", "revenue"}
    for part in ('value="weekly" selected', 'value="5" selected', 'value="18:30"', "+55 11 97777-6655"):
        assert part in text


WRONG = (
    ({"phone": ""}, "Informe o telefone que recebe o relatório."),
    ({"phone": "123"}, "Informe o telefone com DDD"),
    ({"send_time": "25:00"}, "Informe um horário"),
    ({"month_day": "32"}, "Informe um dia de 1 a 31."),
    ({"month_day": "-1"}, "Informe um dia de 1 a 31."),
    ({"frequency": "hourly"}, "Escolha uma das opções."),
    ({"period": "ever"}, "Relatório"),
    ({"weekday": "7"}, "Relatório"),
    ({"phone": "1" * 41}, "no máximo 40 caracteres"),
)


def test_what_is_wrong_is_said_and_nothing_saved__refused(office: Office, visitor: Visitor) -> None:
    """A form with a mistake comes back with a sentence, and leaves the settings alone."""
    for changes, said in WRONG:
        answer = visitor.post(office.path(CLIENT, "report"), FIELDS | changes)
        assert (answer.status_code, said in answer.text) == (400, True), changes
    assert settings(office) == []


def test_bug_30_send_now_needs_no_key_of_the_crons(office: Office, visitor: Visitor) -> None:
    """The page's button saves and sends for the manager who is signed in; twice it is one message."""
    connected(office, visitor, CLIENT)
    page = office.path(CLIENT, "report")
    nonce = re.search(r'name="nonce" value="([^"]+)"', visitor.get(page).text)
    assert nonce is not None
    answers = [visitor.post(f"{page}/send", FIELDS | {"nonce": nonce[1]}, on=page) for _ in range(2)]

    assert len({answer.headers["location"] for answer in answers}) == 1
    [message] = messages(office)
    assert message["phone"] == "5511977776655"
    assert message["facts"]["spoken_by"] == "client"
    assert "ROAS" in message["text"] and "Cliques" not in message["text"]
    told = visitor.get(answers[0].headers["location"]).text
    assert "relatório entregue à fila" in told
    assert "Na fila, sai por volta de" in told
    assert len(settings(office)) == 1


def test_send_now_says_what_keeps_it(office: Office, visitor: Visitor) -> None:
    """Without any number nothing is promised: what to do is said, and the log keeps it."""
    page = office.path(CLIENT, "report")
    answer = visitor.post(f"{page}/send", FIELDS | {"nonce": "n" * 16}, on=page)

    assert "conecte o do cliente ou o da agência" in visitor.get(answer.headers["location"]).text
    assert messages(office) == []
    assert "Não enviada: Nenhum WhatsApp conectado" in visitor.get("/reports").text


def test_send_now_without_a_phone__refused(office: Office, visitor: Visitor) -> None:
    """Even a report that never goes by itself needs somebody to go to."""
    page = office.path(CLIENT, "report")
    answer = visitor.post(
        f"{page}/send", FIELDS | {"frequency": "manual", "phone": "", "nonce": "n" * 16}, on=page
    )

    assert (answer.status_code, "Informe o telefone que recebe" in answer.text) == (400, True)


def test_the_agency_speaks_where_the_client_has_no_number(office: Office, visitor: Visitor) -> None:
    """The log says that the agency's number spoke, and why."""
    connected(office, visitor, None)
    page = office.path(CLIENT, "report")
    visitor.post(f"{page}/send", FIELDS | {"nonce": "n" * 16}, on=page)

    assert messages(office)[0]["facts"]["spoken_by"] == "agency"
    text = visitor.get("/reports").text
    assert "Pelo número da agência: o cliente ainda não tinha conectado o dele" in text


def test_the_preview_saves_nothing(office: Office, visitor: Visitor) -> None:
    """The text as the switches stand, for the script and as a page."""
    page = office.path(CLIENT, "report")
    fields = FIELDS | {"period": "last_7_days"}
    shown = visitor.post(f"{page}/preview", fields, on=page, headers={"Accept": "application/json"}).json()
    without_script = visitor.post(f"{page}/preview", fields, on=page)

    assert "ROAS" in shown["text"] and "Cliques" not in shown["text"]
    assert "Cliques:" not in without_script.text
    assert settings(office) == []


def test_a_clients_name_cannot_break_the_page(office: Office, visitor: Visitor) -> None:
    """What somebody typed as a name is text everywhere, bold signs and tags included."""
    client_id = office.manager.clients[CLIENT]
    visitor.post(f"/clients/{client_id}/edit", {"label": '<img src=x onerror="a()">*b*'})

    for path in ("/agency", "/connections", *(office.path(CLIENT, page) for page in ("report", "alerts"))):
        assert "<img src=x" not in visitor.get(path).text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expected_at": NOW}, "Na fila, sai por volta de agora"),
        ({"dispatch_state": "draft"}, "Na fila"),
        ({}, "Aguardando o número do cliente voltar"),
        ({"spoken_by": "agency"}, "Aguardando o número da agência voltar"),
        (
            {"dispatch_state": "held", "held_by": "message 3"},
            "Aguardando a decisão sobre um envio incerto anterior",
        ),
        ({"dispatch_state": "sending"}, "Saindo agora"),
        ({"dispatch_state": "accepted"}, "Aceita"),
        ({"dispatch_state": "accepted", "delivery_state": "sent"}, "Aceita"),
        ({"dispatch_state": "accepted", "delivery_state": "delivered"}, "Entregue"),
        ({"dispatch_state": "accepted", "delivery_state": "read"}, "Lida"),
        ({"dispatch_state": "accepted", "delivery_state": "failed"}, "Não entregue"),
        (
            {"dispatch_state": "rejected", "reason": "the number is not on WhatsApp"},
            "Recusada: o telefone não tem WhatsApp",
        ),
        ({"dispatch_state": "rejected", "reason": None}, "Recusada: o provedor não disse por quê"),
        ({"dispatch_state": "unknown"}, "Envio incerto"),
        ({"dispatch_state": "expired"}, "Expirada"),
        (
            {"dispatch_state": "withdrawn", "reason": "the number was disconnected on purpose"},
            "Retirada: o número foi desconectado",
        ),
        ({"dispatch_state": None, "log_status": "success"}, "Enviada"),
        (
            {"dispatch_state": None, "log_status": "error", "reason": "sem telefone"},
            "Não enviada: sem telefone",
        ),
    ],
    ids=str,
)
def test_where_a_message_stands_in_words(changes: dict[str, Any], words: str) -> None:
    """Every state has its words; none is English, none claims more than is known."""
    entry = entry_of(Delivery(**(ROW | changes)), lambda _: "agora")

    assert entry.state.text == words


def test_every_state_of_a_message_has_words(office: Office) -> None:
    """What the database knows as states is what the page has words for."""
    states = office.db.rows(
        "select distinct t.from_state as state from messaging.transitions as t"
        " union select t.to_state from messaging.transitions as t"
    )

    for row in states:
        if row["state"] is not None:
            entry = entry_of(Delivery(**(ROW | {"dispatch_state": row["state"]})), lambda _: "agora")
            assert entry.state.text
