"""What a person reads around a booked session, in Portuguese, from the facts of messaging.session_facts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.texts_pt import hello

Facts = Mapping[str, Any]

# What stands in a session's summary where nobody wrote one; it is never read to the person as a memory.
MISSED_SUMMARY = "A sessão não aconteceu: a pessoa não apareceu no horário marcado."
CLOSED_SUMMARY = "Conversamos no horário marcado e a sessão foi encerrada depois do tempo, sem fechamento."
# messaging.session_facts gives that much of the last summary.
_REMEMBERED = 150


def text(purpose: str, name: str | None, facts: Facts) -> str:
    """The text of one of the purposes session_*; KeyError for another."""
    return _TEXTS[purpose](name, facts)


def summary(name: str | None, facts: Facts) -> str:
    """What stays of a session: {summary, insights, commitments}."""
    told = facts["summary"]
    if told == CLOSED_SUMMARY:
        told = "Mesmo sem um fechamento, o que você trouxe ficou guardado aqui comigo."
    parts = [f"{hello(name)} Aqui está o que fica da nossa sessão. 💛", told]
    if facts["insights"]:
        parts.append("*O que apareceu:*\n" + _listed(facts["insights"]))
    if facts["commitments"]:
        parts.append("*Seus combinados:*\n" + _listed(facts["commitments"]))
    return "\n\n".join(parts)


def _day_before(name: str | None, facts: Facts) -> str:
    parts = [f"{hello(name)} Amanhã temos sessão: dia {facts['date']}, às {facts['time']}. 💛"]
    remembered = facts["last_summary"]
    if remembered and not CLOSED_SUMMARY.startswith(remembered):
        more = "…" if len(remembered) >= _REMEMBERED else ""
        parts.append(f"Da última vez ficou assim: {remembered}{more}")
    if facts["commitments"]:
        parts.append("Seus combinados até aqui:\n" + _listed(facts["commitments"]))
    parts.append(
        "Para ir chegando: o que mudou desde então? E o que você quer levar desta conversa?\n\n"
        "Responda *confirmo* se estiver de pé. Se precisar de outro horário, é só me dizer."
    )
    return "\n\n".join(parts)


def _hour_before(name: str | None, facts: Facts) -> str:
    return (
        f"{hello(name)} Nossa sessão é às {facts['time']}, daqui a pouco. "
        "Se der, procure um canto tranquilo. 🌿"
    )


def _minutes_before(name: str | None, facts: Facts) -> str:
    return f"{hello(name)} Faltam poucos minutos: às {facts['time']} a gente começa. Já pega sua água. 💧"


def _start(name: str | None, _facts: Facts) -> str:
    return f"{hello(name)} É a hora da nossa sessão. Responda *vamos* ou *bora* e a gente começa. ✨"


def _nudge(name: str | None, facts: Facts) -> str:
    return (
        f"{hello(name)} Ainda estou aqui para a sessão das {facts['time']}. "
        "Quer começar? É só responder *vamos*."
    )


def _missed(name: str | None, facts: Facts) -> str:
    return (
        f"{hello(name)} Não nos encontramos às {facts['time']}, e tudo bem, acontece. "
        "Quer tentar de novo? Me conta que dia e hora ficam melhores."
    )


def _abandoned(name: str | None, facts: Facts) -> str:
    return f"{hello(name)} {_ENDINGS[facts['ending']]}"


_ENDINGS = {
    "silent": "Nossa sessão começou, mas a conversa não andou. Se quiser outro momento, me conta quando.",
    "short": (
        "Nossa sessão ficou pela metade, então deixei em aberto o que faltou. "
        "Quer remarcar para a gente continuar?"
    ),
    "long": "Nosso tempo acabou, então encerrei a sessão por aqui. Obrigada pela conversa de hoje. 💛",
}


def _rating(name: str | None, _facts: Facts) -> str:
    return (
        f"{hello(name)} De 1 a 5, que nota você dá para a nossa sessão? "
        "1 é “não ajudou”, 5 é “ajudou muito”. Basta responder com o número."
    )


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"• {line}" for line in lines)


_TEXTS: dict[str, Callable[[str | None, Facts], str]] = {
    "session_24h": _day_before,
    "session_1h": _hour_before,
    "session_15m": _minutes_before,
    "session_start": _start,
    "session_nudge": _nudge,
    "session_missed": _missed,
    "session_abandoned": _abandoned,
    "session_summary": summary,
    "session_rating": _rating,
}
