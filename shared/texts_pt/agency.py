"""What agencies write to their clients: the report of a period and the balance of an ad account; and why
one of them did not go, for the manager."""

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

_ONE_LINE = 80
_SAY_STOP = "Para não receber mais estas mensagens, responda SAIR."
# Why nothing went, as messaging.due_reports and shared/reports tell it.
_UNSENT = {
    "no_phone": "O relatório está sem telefone de destino. Informe um número nas configurações do relatório.",
    "no_speaker": (
        "Nenhum WhatsApp conectado para enviar: conecte o do cliente ou o da agência e tente de novo."
    ),
    "opted_out": "Este telefone pediu para não receber mais mensagens (SAIR).",
    "wrong_phone": "O telefone de destino não é válido. Corrija o número nas configurações do relatório.",
    "refused": "O relatório não pôde ser preparado para envio. Confira as configurações e tente de novo.",
}

# Switch -> how it is named and shown. Both blocks in this order.
_PRIMARY = {
    "investment": "💰 Investimento",
    "revenue": "💵 Faturamento",
    "roas": "📈 ROAS",
    "conversions": "🎯 Conversões",
    "cpa": "🧾 Custo por conversão",
    "leads": "🙋 Leads",
    "messages": "💬 Conversas iniciadas",
}
_SECONDARY = {
    "impressions": "Impressões",
    "clicks": "Cliques",
    "ctr": "Taxa de cliques (CTR)",
    "cpc": "Custo por clique (CPC)",
    "cpm": "Custo por mil impressões (CPM)",
}
_MONEY = {"investment", "revenue", "cpa", "cpc", "cpm"}
_GOOD_ROAS, _POOR_ROAS = Decimal(2), Decimal(1)


def report(facts: Mapping[str, Any]) -> str:
    """The report of one client and period, from a row of messaging.report_as_of. Lines without a figure,
    such as a cost per conversion without conversions, are left out."""
    shown = [name for name in (*_PRIMARY, *_SECONDARY) if facts["metrics"].get(name)]
    current, previous = figures(facts["current"]), figures(facts["previous"])
    parts = [
        "📊 *Relatório de anúncios*",
        f"*{one_line(facts['client_label'], 'Cliente')}*\n{_period(facts)}",
        _nothing(facts["current"]) or _remark(current, shown),
        _lines([_figure(_PRIMARY, name, current) for name in _PRIMARY if name in shown]),
        _block(
            "*Mais números*", [_figure(_SECONDARY, name, current) for name in _SECONDARY if name in shown]
        ),
        _comparison(shown, current, previous) if facts["include_comparison"] else None,
        _footer(facts["agency_name"]),
    ]
    return "\n\n".join(part for part in parts if part)


def balance_alert(facts: Mapping[str, Any], balance: Decimal) -> str:
    """That the balance of an ad account has come down to the alert's threshold or below."""
    account = one_line(facts["account_name"], one_line(facts["ad_account_id"]))
    return "\n\n".join(
        [
            "⚠️ *Saldo baixo na conta de anúncios*",
            f"*{one_line(facts['client_label'], 'Cliente')}*\nConta: {account}",
            f"Saldo agora: *{money(balance)}*\nAviso a partir de: {money(_decimal(facts['threshold']))}",
            "Sem saldo, os anúncios param. Vale colocar crédito hoje.",
            _footer(facts["agency_name"]),
        ]
    )


def unsent(reason: str) -> str:
    """Why a report was not enqueued, and what to change, for the manager."""
    return _UNSENT.get(reason, _UNSENT["refused"])


def figures(sums: Mapping[str, Any]) -> dict[str, Decimal]:
    """The twelve figures of a period by switch, from the sums of daily_metrics; a quotient only where its
    divisor is not zero."""
    spend, revenue = _decimal(sums["spend"]), _decimal(sums["revenue"])
    clicks, impressions = _decimal(sums["clicks"]), _decimal(sums["impressions"])
    conversions = _decimal(sums["conversions"])
    found = {
        "investment": spend,
        "revenue": revenue,
        "conversions": conversions,
        "leads": _decimal(sums["leads"]),
        "messages": _decimal(sums["messages"]),
        "impressions": impressions,
        "clicks": clicks,
    }
    quotients = {
        "roas": (revenue, spend),
        "cpa": (spend, conversions),
        "cpc": (spend, clicks),
        "cpm": (spend * 1000, impressions),
        "ctr": (clicks * 100, impressions),
    }
    return found | {name: over / under for name, (over, under) in quotients.items() if under}


def money(amount: Decimal) -> str:
    """R$ 1.234,56, whole cents, the sign in front."""
    return f"{'-' if _rounded(amount, 2) < 0 else ''}R$ {_number(abs(amount), 2)}"


def one_line(text: str | None, otherwise: str = "") -> str:
    """What somebody typed, on one line, short, and without WhatsApp's signs for bold and the like."""
    plain = " ".join((text or "").translate({ord(sign): " " for sign in "*_~`"}).split())
    return plain[:_ONE_LINE].rstrip() or otherwise


def _period(facts: Mapping[str, Any]) -> str:
    first, last = (date.fromisoformat(str(facts[name])) for name in ("period_start", "period_end"))
    return f"Dia {first:%d/%m/%Y}" if first == last else f"Período: {first:%d/%m/%Y} a {last:%d/%m/%Y}"


def _nothing(sums: Mapping[str, Any]) -> str | None:
    return None if sums["days"] else "Ainda não há números para este período."


def _remark(current: Mapping[str, Decimal], shown: list[str]) -> str | None:
    roas = current.get("roas")
    if roas is None or "roas" not in shown:
        return None
    if roas >= _GOOD_ROAS:
        return "✅ Ótimo retorno: cada real investido trouxe pelo menos o dobro de volta."
    if roas < _POOR_ROAS:
        return "🔎 Retorno abaixo do investimento: vamos olhar de perto e ajustar."
    return "🙂 O retorno cobriu o investimento, com espaço para crescer."


def _figure(names: Mapping[str, str], name: str, found: Mapping[str, Decimal]) -> str | None:
    return f"{names[name]}: {_shown(name, found[name])}" if name in found else None


def _shown(name: str, value: Decimal) -> str:
    if name in _MONEY:
        return money(value)
    if name == "roas":
        return f"{_number(value, 2)}x"
    if name == "ctr":
        return f"{_number(value, 2)}%"
    # Platforms share a conversion between days and campaigns, so it may be a fraction.
    return _number(value, 0 if value == value.to_integral_value() else 1)


def _comparison(
    shown: list[str], current: Mapping[str, Decimal], previous: Mapping[str, Decimal]
) -> str | None:
    compared, fresh = [], []
    for name in shown:
        if name not in current or (current[name] == 0 and not previous.get(name)):
            continue
        label = (_PRIMARY | _SECONDARY)[name].partition(" ")[2] if name in _PRIMARY else _SECONDARY[name]
        if previous.get(name):
            compared.append(f"{label}: {_change(current[name], previous[name])}")
        else:
            fresh.append(label)
    if not compared:
        return "_Sem números no período anterior para comparar._" if fresh else None
    if fresh:
        compared.append(f"_Sem base de comparação: {', '.join(fresh)}._")
    return _block("*Comparado ao período anterior*", [*compared])


def _change(now: Decimal, before: Decimal) -> str:
    percent = _rounded((now - before) * 100 / abs(before), 1)
    if percent == 0:
        return "➡️ igual"
    arrow, sign = ("🔼", "+") if percent > 0 else ("🔽", "-")
    return f"{arrow} {sign}{_number(abs(percent), 1)}%"


def _footer(agency_name: str | None) -> str:
    agency = one_line(agency_name)
    return "\n".join([*([f"_Enviado por {agency}._"] if agency else []), f"_{_SAY_STOP}_"])


def _block(title: str, lines: list[str | None]) -> str | None:
    body = _lines(lines)
    return f"{title}\n{body}" if body else None


def _lines(lines: list[str | None]) -> str | None:
    return "\n".join(line for line in lines if line) or None


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _number(value: Decimal, places: int) -> str:
    """1.234,56: dots between thousands, a comma before what is smaller than one."""
    return f"{_rounded(value, places):,.{places}f}".translate({ord(","): ".", ord("."): ","})
