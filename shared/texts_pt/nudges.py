"""What a person reads when we remind, ask after, win back or follow up, in Portuguese."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.texts_pt import first_name, hello

_LONGEST_TITLE = 120

_FOLLOWUPS = (
    "Hoje é o dia do seu combinado “{title}”. 🌱 Quando fizer, me conta por aqui?",
    "Você tinha planejado “{title}” para {due}. Como foi? Se ainda não deu, tudo bem: me conta.",
    "Ainda penso no seu combinado “{title}”. Quer que a gente ajuste o tamanho ou a data dele?",
    "Sobre “{title}”: isso ainda faz sentido para você? Pode manter, mudar ou deixar ir. 💛 Eu não volto a "
    "lembrar deste.",
)

_CHECKIN_COMMITMENT = "Lembrei do seu combinado “{title}”. Como ele está caminhando?"
_CHECKIN_LOW = "Da última vez os dias estavam pesados para você. Como está o coração agora?"
_CHECKIN_GENERIC = (
    "Faz um tempinho que a gente não conversa. Como você tem passado?",
    "Passei para saber de você. O que tem ocupado seus pensamentos?",
    "Que palavra descreve sua semana até aqui? Me conta, se quiser.",
    "Se hoje coubesse uma pausa só sua, como ela seria?",
)

_SILENT = {
    3: "Senti sua falta por aqui. 💛 Se quiser retomar, é só me mandar um “oi”.",
    7: "Já faz mais de uma semana. Sem cobrança: quando fizer bem conversar, eu continuo aqui. 🌿",
}
_MISSED = (
    "Nossa sessão de {day}, às {time}, acabou não acontecendo. Acontece! "
    "Quer outro horário? Me conta um dia que fica bom."
)

# By situation, then step: the last one stands for every later step.
_CONVERSATIONS: Mapping[str, tuple[str, ...]] = {
    "session": (
        "Estou aqui. Pode levar o tempo que precisar. 💛",
        "Seguimos quando você quiser: me conta o que ficou passando por dentro.",
        "Ainda por aqui, sem pressa. Quer continuar a sessão?",
        "Se precisar parar por hoje, tudo bem: me avisa e a gente retoma outro dia.",
    ),
    "ended": ("Passando só para deixar um abraço. Quando quiser, a gente continua. 🌿",),
    "deep": ("Fiquei pensando no que você me contou. Como está agora?",),
    "plan": (
        "Continuo aqui, caso queira seguir de onde a gente parou.",
        "Deixo a conversa aberta: volta quando for bom para você. 💛",
    ),
    "plain": (
        "Ficou mais alguma coisa que você queria dizer?",
        "Quando quiser retomar, é só me chamar. 💛",
    ),
}


def commitment_followup(name: str | None, *, level: int, title: str | None, due_on: date) -> str:
    """A reminder of a commitment: level 0 on its day, then three that ask less each time."""
    return f"{hello(name)} {_FOLLOWUPS[level].format(title=_shortened(title), due=f'{due_on:%d/%m}')}"


def checkin(name: str | None, facts: Mapping[str, Any]) -> str:
    """A question; facts: kind (commitment, low or generic), title, variant 0-3, hour of the day."""
    match facts["kind"]:
        case "commitment":
            question = _CHECKIN_COMMITMENT.format(title=_shortened(facts["title"]))
        case "low":
            question = _CHECKIN_LOW
        case _:
            question = _CHECKIN_GENERIC[facts["variant"]]
    return f"{_good_day(facts['hour'], name)} {question}"


def reactivation(name: str | None, *, stage: int) -> str:
    """To somebody silent for 3 to 6 days (stage 3), or for 7 or more (stage 7)."""
    return f"{hello(name)} {_SILENT[stage]}"


def reactivation_missed(name: str | None, *, missed_on: date, missed_at: str) -> str:
    """After a session that did not happen; `missed_at` as HH:MM."""
    return f"{hello(name)} {_MISSED.format(day=f'{missed_on:%d/%m}', time=missed_at)}"


def conversation_followup(name: str | None, *, situation: str, step: int) -> str:
    """One line to somebody who stopped answering; step counts from 1."""
    lines = _CONVERSATIONS[situation]
    line = lines[min(step, len(lines)) - 1]
    called = first_name(name)
    return f"{called}, {line[0].lower()}{line[1:]}" if called else line


def _good_day(hour: int, name: str | None) -> str:
    """The greeting of that hour of the day."""
    greeting = "Bom dia" if 5 <= hour < 12 else "Boa tarde" if 12 <= hour < 18 else "Boa noite"
    called = first_name(name)
    return f"{greeting}, {called}!" if called else f"{greeting}!"


def _shortened(title: str | None) -> str:
    words = " ".join((title or "").split()) or "seu combinado"
    return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1].rstrip() + "…"
