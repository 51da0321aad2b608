"""The texts of reports, episodes, schedules and meditations: whole in every case, and never a None shown."""

import pytest

from shared.texts_pt import content, schedule

WEEK = {
    "week_start": "2026-11-09",
    "messages_total": 1,
    "messages_week": 1,
    "insights": 0,
    "sessions_completed": 1,
    "journey_title": None,
    "episode": 0,
    "episodes": 8,
    "percent": 0,
    "journeys_completed": 0,
}
EPISODE = {
    "episode": 1,
    "episodes": 8,
    "journey_title": "Calma",
    "episode_title": None,
    "stage_title": None,
    "essay": None,
    "hook": None,
    "first": False,
    "last": False,
}


@pytest.mark.parametrize(
    ("percent", "bar"),
    [
        (-5, "░░░░░░░░"), (0, "░░░░░░░░"), (1, "▓░░░░░░░"), (13, "▓░░░░░░░"), (38, "▓▓▓░░░░░"),
        (99, "▓▓▓▓▓▓▓░"), (100, "▓▓▓▓▓▓▓▓"), (130, "▓▓▓▓▓▓▓▓"),
    ],
)  # fmt: skip
def test_progress_bar_has_eight_blocks(percent: int, bar: str) -> None:
    """Empty only at the start, full only at the end."""
    assert content.progress_bar(percent) == bar


def test_bar_agrees_with_the_episode_for_journeys_of_eight() -> None:
    """Episode n of eight is n blocks, whatever the rounding of the percentage."""
    for done in range(9):
        percent = int(done * 100 / 8 + 0.5)
        assert content.progress_bar(percent).count("▓") == done


def test_report_of_an_empty_week_shows_no_gaps() -> None:
    """No journey, no name, no paragraph: no line about them, singular where it is one."""
    text = content.weekly_report(None, WEEK)
    assert text.startswith("Oi! Chegou o retrato da sua semana, a partir de 09/11.")
    assert (
        "1 mensagem nesta semana" in text and "0 descobertas novas" in text and "1 sessão concluída" in text
    )
    assert "None" not in text and "jornada" not in text and "\n\n\n" not in text


def test_report_shows_the_journey_and_the_paragraph() -> None:
    """Title, place, bar and percentage; the agent's words as a paragraph of their own."""
    facts = WEEK | {"journey_title": "Calma", "episode": 3, "percent": 38, "journeys_completed": 2}
    text = content.weekly_report("Ana Lima", facts, "Boa semana.")
    assert "Calma: episódio 3 de 8\n▓▓▓░░░░░ 38%" in text and "2 jornadas completas" in text
    assert "\n\nBoa semana.\n\n" in text


def test_episode_leaves_out_what_it_lacks() -> None:
    """Nothing but a title is still a message without gaps."""
    text = content.episode("", EPISODE)
    assert "*EP 1/8* · Calma" in text
    assert "None" not in text and "\n\n\n" not in text and "pausar" not in text


def test_completion_without_other_journeys_promises_none() -> None:
    """No list of nothing, no next one."""
    facts: dict[str, object] = {"journey_title": "Calma", "other_journeys": [], "next_journey_title": None}
    text = content.journey_completed("Ana", facts)
    assert "Calma" in text and "Outras" not in text and "Daqui a" not in text and "None" not in text


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(None, "*Calma*."), (0, "*Calma*."), (20, "(1 minuto)"), (89, "(1 minuto)"), (290, "(5 minutos)")],
)
def test_meditation_says_its_minutes_rounded(seconds: int | None, says: str) -> None:
    """At least one; none where nobody knows."""
    assert says in content.meditation_intro("Ana", "Calma", seconds)


def test_link_stands_alone_at_the_end() -> None:
    """An address that WhatsApp makes a link of."""
    assert content.meditation_link("Calma", "https://a.example/b.mp3").endswith("\nhttps://a.example/b.mp3")
    assert "sem áudio" in content.meditation_missing(None)


def test_schedule_texts_name_month_and_number() -> None:
    """Singular and plural; the month by its name."""
    assert "1 sessão por mês" in schedule.setup("Ana", {"sessions_per_month": 1})
    text = schedule.renewal(None, {"sessions_per_month": 8, "month": "2026-03-01"})
    assert text.startswith("Oi! Suas sessões de março") and "8 sessões neste mês" in text
