"""What a person reads of the weekly report, the journeys' episodes and the meditations, in Portuguese."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from shared.texts_pt import hello

BAR_BLOCKS = 8


def weekly_report(name: str | None, facts: Mapping[str, Any], paragraph: str | None = None) -> str:
    """The report of one week: figures of people_weekly_report, and what the agent says of them."""
    week = date.fromisoformat(facts["week_start"])
    lines = [
        f"💬 {_counted(facts['messages_week'], 'mensagem', 'mensagens')} nesta semana, "
        f"{facts['messages_total']} desde o começo",
        f"💡 {_counted(facts['insights'], 'descoberta nova', 'descobertas novas')} nas suas sessões",
        f"🗓 {_counted(facts['sessions_completed'], 'sessão concluída', 'sessões concluídas')} até aqui",
    ]
    if facts["journey_title"]:
        percent = int(facts["percent"])
        lines.append(
            f"🌱 {facts['journey_title']}: episódio {facts['episode']} de {facts['episodes']}\n"
            f"{progress_bar(percent)} {percent}%"
        )
    if facts["journeys_completed"]:
        completed = facts["journeys_completed"]
        lines.append(f"🏁 {_counted(completed, 'jornada completa', 'jornadas completas')}")
    parts = [
        f"{hello(name)} Chegou o retrato da sua semana, a partir de {week:%d/%m}. 💛",
        "\n".join(lines),
        paragraph,
        "Como você quer começar a próxima? Pode me contar por aqui.",
    ]
    return "\n\n".join(part for part in parts if part)


def progress_bar(percent: int) -> str:
    """Eight blocks: a started journey shows at least one, and only a finished one all of them."""
    filled = min(max(percent, 0), 100) * BAR_BLOCKS // 100
    if percent > 0:
        filled = max(filled, 1)
    return "▓" * filled + "░" * (BAR_BLOCKS - filled)


def episode(name: str | None, facts: Mapping[str, Any], body: str | None = None) -> str:
    """One episode: `body` where the agent wrote it, else the essay as it stands in the journey."""
    title = f"*EP {facts['episode']}/{facts['episodes']}* · {facts['journey_title']}"
    parts = [
        f"{hello(name)} Hoje tem episódio novo da sua jornada. 🌱",
        "\n".join(part for part in (title, _bold(facts["episode_title"]), facts["stage_title"]) if part),
        body or (facts["essay"] or "").strip(),
        (facts["hook"] or "").strip(),
    ]
    if facts["first"]:
        parts.append(
            "Os episódios chegam duas vezes por semana. "
            "Se quiser dar um tempo, é só escrever *pausar jornadas*."
        )
    if facts["last"]:
        parts.append(
            "Com este episódio a jornada se fecha. Fique um momento com o que ela deixou em você. 💛"
        )
    return "\n\n".join(part for part in parts if part)


def journey_completed(name: str | None, facts: Mapping[str, Any]) -> str:
    """The end of a journey: the others that there are, and the one that comes next."""
    parts = [f"{hello(name)} Você completou a jornada *{facts['journey_title']}*. Que caminho bonito! 🎉"]
    others: Sequence[str] = facts["other_journeys"]
    if others:
        parts.append("Outras jornadas que existem por aqui:\n" + "\n".join(f"• {title}" for title in others))
    if facts["next_journey_title"]:
        parts.append(
            f"Daqui a alguns dias começamos *{facts['next_journey_title']}*. "
            "Se quiser dar um tempo, é só escrever *pausar jornadas*."
        )
    return "\n\n".join(parts)


def meditation_intro(name: str | None, title: str, duration_s: int | None) -> str:
    """What comes right before the audio."""
    minutes = max(round(duration_s / 60), 1) if duration_s else None
    length = f" ({_counted(minutes, 'minuto', 'minutos')})" if minutes else ""
    return (
        f"{hello(name)} Separei uma meditação para você: *{title}*{length}. 🧘\n\n"
        "Procure um canto tranquilo, respire fundo e aperte o play."
    )


def meditation_link(title: str, url: str) -> str:
    """In place of an audio that the provider refused."""
    return f"Não consegui enviar o áudio de *{title}* por aqui. 🙏 Você pode ouvir neste endereço:\n{url}"


def meditation_missing(name: str | None) -> str:
    """The apology where a meditation has no audio."""
    return (
        f"{hello(name)} Eu queria te mandar uma meditação agora, mas ela está sem áudio no momento. 🙏 "
        "Se quiser, me conta como você está: a gente faz uma pausa por aqui mesmo."
    )


def _bold(text: str | None) -> str | None:
    return f"*{text}*" if text else None


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
