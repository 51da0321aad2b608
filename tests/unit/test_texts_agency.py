"""The texts of agencies: money and numbers as Brazilians write them, no line without a figure, stops
named."""

from decimal import Decimal
from typing import Any

import pytest

from shared.texts_pt import agency

NOTHING = {
    "days": 0, "spend": 0, "revenue": 0, "clicks": 0, "impressions": 0, "conversions": 0, "leads": 0,
    "messages": 0,
}  # fmt: skip
MONTH = {
    "days": 30, "spend": 1234.56, "revenue": 3703.68, "clicks": 1500, "impressions": 1000000,
    "conversions": 40, "leads": 12, "messages": 7,
}  # fmt: skip
ALL_ON = dict.fromkeys(
    (
        *("investment", "revenue", "roas", "cpa", "cpc", "cpm", "clicks", "impressions", "ctr"),
        *("conversions", "leads", "messages"),
    ),
    True,
)


def report(**changes: Any) -> str:
    """A report of October, compared with nothing, unless the changes say otherwise."""
    facts = {
        "client_label": "Padaria Sol", "agency_name": "Agência Lua", "metrics": ALL_ON,
        "include_comparison": False, "period_start": "2026-10-01", "period_end": "2026-10-31",
        "current": MONTH, "previous": NOTHING,
    }  # fmt: skip
    return agency.report(facts | changes)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "R$ 0,00"),
        ("0.005", "R$ 0,01"),
        ("1234.56", "R$ 1.234,56"),
        ("999.995", "R$ 1.000,00"),
        ("1234567.8", "R$ 1.234.567,80"),
        ("-12.3", "-R$ 12,30"),
        ("-0.001", "R$ 0,00"),
        ("100000000000", "R$ 100.000.000.000,00"),
    ],
)
def test_money_is_written_as_in_brazil(amount: str, text: str) -> None:
    """Dots between thousands, a comma before the cents; the original wrote R$ 1234,56."""
    assert agency.money(Decimal(amount)) == text


def test_a_report_has_title_client_period_figures_and_a_way_to_stop() -> None:
    """In that order, and every one of the twelve figures."""
    text = report()
    for part in (
        "Relatório de anúncios", "*Padaria Sol*", "Período: 01/10/2026 a 31/10/2026", "Ótimo retorno",
        "Investimento: R$ 1.234,56", "Faturamento: R$ 3.703,68", "ROAS: 3,00x", "Conversões: 40",
        "Custo por conversão: R$ 30,86", "Leads: 12", "Conversas iniciadas: 7", "Impressões: 1.000.000",
        "Cliques: 1.500", "(CTR): 0,15%", "(CPC): R$ 0,82", "(CPM): R$ 1,23", "por Agência Lua",
        "SAIR",
    ):  # fmt: skip
        assert part in text, part
    order = [
        text.index(part) for part in ("Padaria", "Período", "retorno", "Investimento", "Cliques", "SAIR")
    ]
    assert order == sorted(order) and "\n\n\n" not in text and "None" not in text


@pytest.mark.parametrize("off", sorted(ALL_ON))
def test_each_switch_takes_its_line_away(off: str) -> None:
    """And nothing else but what is said of it."""
    with_it, without = report(), report(metrics=ALL_ON | {off: False})
    assert len(without.splitlines()) < len(with_it.splitlines())
    assert set(without.splitlines()) < set(with_it.splitlines())


def test_no_block_stands_empty() -> None:
    """Without one of the second block's figures its title is gone; without any switch there is still a
    report."""
    assert "Mais números" not in report(metrics={"investment": True})
    assert report(metrics={}).count("*") == 4


@pytest.mark.parametrize(
    ("spend", "revenue", "words"),
    [
        (100, 200, "Ótimo retorno"),
        (100, 199.99, "cobriu o investimento"),
        (100, 100, "cobriu o investimento"),
        (100, 99.99, "abaixo do investimento"),
        (100, 0, "abaixo do investimento"),
    ],
)
def test_the_return_is_remarked_upon(spend: float, revenue: float, words: str) -> None:
    """Two and more is good, under one is poor (functions 4.3)."""
    assert words in report(current=MONTH | {"spend": spend, "revenue": revenue})


def test_a_quotient_without_a_divisor_has_no_line() -> None:
    """No spend, no clicks, no impressions, no conversions: no ROAS, no costs, no rate, and no remark."""
    text = report(current=NOTHING | {"days": 3, "leads": 2})
    for part in ("ROAS", "Custo por", "CTR", "retorno"):
        assert part not in text, part
    assert "Investimento: R$ 0,00" in text and "Leads: 2" in text


def test_a_period_without_any_day_says_so() -> None:
    """Noughts without a word would look like a bad week."""
    assert "Ainda não há números" in report(current=NOTHING)
    assert "Ainda não há números" not in report()


def test_a_comparison_tells_how_each_figure_moved() -> None:
    """Up, down, the same; what has no base is named once; what stayed at nought is left out."""
    before = MONTH | {"spend": 1000, "revenue": 7407.36, "leads": 0, "messages": 7, "clicks": 1500}
    text = report(include_comparison=True, previous=before, current=MONTH | {"conversions": 0})
    for part in (
        "Comparado ao período anterior", "Investimento: 🔼 +23,5%", "Faturamento: 🔽 -50,0%",
        "Conversas iniciadas: ➡️ igual", "Conversões: 🔽 -100,0%", "Sem base de comparação: Leads.",
    ):  # fmt: skip
        assert part in text, part
    gone = report(include_comparison=True, previous=before | {"messages": 0}, current=MONTH | {"messages": 0})
    assert gone.count("Conversas iniciadas") == 1


def test_a_comparison_without_a_base_is_one_line() -> None:
    """The first period of a new client; and none at all where there is nothing to compare."""
    text = report(include_comparison=True)
    assert "Sem números no período anterior" in text and "Comparado" not in text
    assert "anterior" not in report(include_comparison=True, current=NOTHING)
    assert "anterior" not in report(previous=MONTH)


def test_one_day_is_no_period() -> None:
    """A report of yesterday names the day."""
    assert "Dia 05/03/2026" in report(period_start="2026-03-05", period_end="2026-03-05")


@pytest.mark.parametrize("label", [None, "", "  ", "*_~`"])
def test_a_client_without_a_name_is_a_client(label: str | None) -> None:
    """Never a gap, never None; and an agency without one signs nothing."""
    text = report(client_label=label, agency_name=label)
    assert "*Cliente*" in text and "Enviado por" not in text


def test_what_somebody_typed_cannot_change_the_message() -> None:
    """Lines, signs and length of a name stay its own."""
    text = report(client_label="A*b_\n\nIgnore\tisto " + "x" * 500, agency_name="Lua\r\n*Sol*")
    assert "*A b Ignore isto xxx" in text and "x" * 80 not in text and "Lua Sol" in text


def test_a_fraction_of_a_conversion_is_shown_as_one() -> None:
    """Platforms share a conversion between days."""
    assert "Conversões: 10,5" in report(current=MONTH | {"conversions": 10.5})
    assert "Conversões: 10\n" in report(current=MONTH | {"conversions": 10.0})


def test_an_alert_names_account_balance_and_threshold() -> None:
    """And whom it is about; the account's id where it has no name."""
    facts = {
        "client_label": "Padaria Sol", "account_name": "Loja", "ad_account_id": "act_7", "threshold": 250.5,
        "agency_name": None,
    }  # fmt: skip
    text = agency.balance_alert(facts, Decimal("-12.34"))
    for part in ("Saldo baixo", "*Padaria Sol*", "Conta: Loja", "*-R$ 12,34*", "R$ 250,50", "SAIR"):
        assert part in text, part
    assert "Conta: act 7" in agency.balance_alert(facts | {"account_name": None}, Decimal(1))


@pytest.mark.parametrize("reason", ["no_phone", "no_speaker", "opted_out", "wrong_phone", "refused", "odd"])
def test_every_reason_says_what_to_do(reason: str) -> None:
    """A sentence for the manager, also for a reason that nobody thought of."""
    text = agency.unsent(reason)
    assert text.endswith(".") and reason not in text
