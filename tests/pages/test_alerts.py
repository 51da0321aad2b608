"""Balance alerts: a row for each ad account, saved together or not at all."""

from decimal import Decimal
from typing import Any

import pytest

from edge.pages.alerts import amount
from edge.pages.forms import BadField
from tests.pages.office import Office
from tests.pages.visitor import Visitor

CLIENT = "Padaria Sol"


def account(office: Office) -> str:
    """The client's ad account."""
    rows = office.db.rows(
        "select ad_account_id from public.client_ad_accounts where client_id = %(client)s",
        {"client": office.manager.clients[CLIENT]},
    )
    return str(rows[0]["ad_account_id"])


def alerts(office: Office) -> list[dict[str, Any]]:
    """What is stored."""
    return office.db.rows(
        "select ad_account_id, threshold_value, is_active, recipient_phone from public.account_balance_alerts"
    )


def fields(office: Office, **changes: str) -> dict[str, str]:
    """The form as a manager fills it in."""
    filled = {
        "account_0": account(office),
        "threshold_0": "1.234,56",
        "active_0": "on",
        "phone_0": "11 97777-6655",
    }
    return {name: value for name, value in (filled | changes).items() if value != "-"}


def test_an_alert_is_saved_and_shown(office: Office, visitor: Visitor) -> None:
    """Threshold, switch and recipient come back as a Brazilian writes them."""
    page = office.path(CLIENT, "alerts")
    answer = visitor.post(page, fields(office))

    assert answer.headers["location"].endswith("?notice=alerts_saved")
    assert alerts(office) == [
        {
            "ad_account_id": account(office),
            "threshold_value": Decimal("1234.56"),
            "is_active": True,
            "recipient_phone": "5511977776655",
        }
    ]
    text = visitor.get(page).text
    assert 'value="1234,56"' in text and "+55 11 97777-6655" in text


WRONG = (
    ({"threshold_0": "muito"}, "Informe um valor em reais"),
    ({"threshold_0": "-5"}, "Informe um valor em reais"),
    ({"threshold_0": ""}, "Informe um valor em reais"),
    ({"phone_0": ""}, "Um alerta ativo precisa do telefone"),
    ({"phone_0": "999"}, "Informe o telefone com DDD"),
    ({"account_0": "act_1"}, "As contas deste cliente mudaram"),
    ({"account_0": "-"}, "As contas deste cliente mudaram"),
)


def test_what_is_wrong_is_said_and_nothing_saved__refused(office: Office, visitor: Visitor) -> None:
    """A mistake comes back beside its field; no alert is stored."""
    for changes, said in WRONG:
        answer = visitor.post(office.path(CLIENT, "alerts"), fields(office, **changes))
        assert (answer.status_code, said in answer.text) == (400, True), changes
    assert alerts(office) == []


def test_an_alert_that_is_off_needs_nobody(office: Office, visitor: Visitor) -> None:
    """Switched off, the recipient may be empty."""
    visitor.post(office.path(CLIENT, "alerts"), fields(office, active_0="-", phone_0=""))

    assert [(row["is_active"], row["recipient_phone"]) for row in alerts(office)] == [(False, None)]


def test_an_account_that_alerts_for_another_client__refused(office: Office, visitor: Visitor) -> None:
    """One account, one alert: the second client's form says where the first is."""
    other = office.manager.clients["Pet Shop Amigo"]
    visitor.post(office.path(CLIENT, "alerts"), fields(office))
    office.db.rows(
        "insert into public.client_ad_accounts (client_id, ad_account_id) values (%(other)s, %(account)s)"
        " returning id",
        {"other": other, "account": account(office)},
    )
    page = f"/clients/{other}/alerts"
    text = visitor.get(page).text
    rows: dict[str, str] = {}
    for at, name in enumerate(_accounts(text)):
        rows |= {f"account_{at}": name, f"threshold_{at}": "1,00", f"phone_{at}": "11 97777-6655"}
    answer = visitor.post(page, rows)

    assert (answer.status_code, "já tem alerta em outro cliente" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("150", "150"),
        ("150,5", "150.5"),
        ("R$ 1.234,56", "1234.56"),
        ("1234.56", "1234.56"),
        ("1.234", "1234"),
        ("1.000.000,00", "1000000"),
    ],
)
def test_an_amount_as_people_write_it(written: str, value: str) -> None:
    """Points for thousands, a comma for cents; and plainly with a point."""
    assert amount(written) == Decimal(value)


@pytest.mark.parametrize("written", ["", "-1", "1,234.56", "1.23.4", "1e5", "∞", "NaN", "١٢", "1" * 13])
def test_what_is_no_amount__refused(written: str) -> None:
    """Anything else is asked for again."""
    with pytest.raises(BadField):
        amount(written)


def _accounts(text: str) -> list[str]:
    return [part.partition('value="')[2].partition('"')[0] for part in text.split('name="account_')[1:]]


def test_accounts_are_listed_and_changed(office: Office, visitor: Visitor) -> None:
    """One account a line, with its name; they are what alerts can be set for. Others' accounts stay."""
    page = office.path(CLIENT, "accounts")
    assert account(office) in visitor.get(page).text
    office.db.rows(
        "insert into public.client_ad_accounts (client_id, ad_account_id, provider)"
        " values (%(client)s, 'g1', 'google_ads') returning id",
        {"client": office.manager.clients[CLIENT]},
    )

    answer = visitor.post(page, {"accounts": "act_1 Loja  Centro \r\n\r\nact_2\r\n"})
    assert answer.headers["location"].endswith("/alerts?notice=accounts_saved")
    rows = office.db.rows(
        "select ad_account_id, account_name from public.client_ad_accounts where client_id = %(client)s",
        {"client": office.manager.clients[CLIENT]},
    )
    assert {row["ad_account_id"]: row["account_name"] for row in rows} == {
        "act_1": "Loja  Centro",
        "act_2": None,
        "g1": None,
    }
    assert "act_2" in visitor.get(office.path(CLIENT, "alerts")).text


MISTAKES = (
    ("act_1\nnúmero dois", "Linha 2: comece com o identificador"),
    ("a" * 65, "Linha 1: comece"),
    ("act_1 x\nact_1 y", "Linha 2: a conta act_1 já está na lista"),
    ("\n".join(f"act_{each}" for each in range(201)), "No máximo 200 contas"),
    ("act_1 " + "n" * 200, "Linha 1: comece"),
)


def test_a_list_with_a_mistake__refused(office: Office, visitor: Visitor) -> None:
    """The line is named, what was typed stays, nothing is saved."""
    before = account(office)
    for written, said in MISTAKES:
        answer = visitor.post(office.path(CLIENT, "accounts"), {"accounts": written})
        assert (answer.status_code, said in answer.text) == (400, True), said
    assert account(office) == before
