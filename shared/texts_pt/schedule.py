"""What a person reads about choosing the days and times of the sessions, in Portuguese."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.texts_pt import hello

MONTHS = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho",
    "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
)  # fmt: skip


def setup(name: str | None, facts: Mapping[str, Any]) -> str:
    """Somebody whose plan has sessions never said when."""
    return (
        f"{hello(name)} Seu plano tem {_sessions(facts['sessions_per_month'])} por mês, "
        "e ainda não combinamos quando. 🗓\n\n"
        "Que dias da semana e horários funcionam para você? Me conta, e a gente combina."
    )


def renewal(name: str | None, facts: Mapping[str, Any]) -> str:
    """A month has begun, and nothing is booked in it."""
    month = MONTHS[date.fromisoformat(facts["month"]).month - 1]
    return (
        f"{hello(name)} Suas sessões de {month} ainda não estão na agenda. 💛\n\n"
        f"Você tem {_sessions(facts['sessions_per_month'])} neste mês. "
        "Quer manter os mesmos dias e horários ou mudar alguma coisa? É só me responder."
    )


def _sessions(count: int) -> str:
    return f"{count} sessão" if count == 1 else f"{count} sessões"
