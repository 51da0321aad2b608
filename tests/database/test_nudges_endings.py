"""What ends a conversation by itself: words that close it, and the night in which nobody is followed up."""

import pytest

from tests.database.world import BentClock, World

ENDS = [
    "Obrigada!", "MUITO OBRIGADO, Aura 💛", "obrigadaaaa", "Obrigadão", "Obrigada\u0301", "valeu",
    "Valeu, até amanhã", "boa noite", "Boa noite, Aura!", "vou dormir", "Tchau tchau", "era só isso", "bjs",
    "beijos", "preciso ir agora", "tenha um bom dia", "até mais", "ok", "Tá bom.", "sim", "SIM!!!", "beleza",
    "top", "show", "👍", "combinado", "perfeito 🙏",
]  # fmt: skip
GOES_ON = [
    "Fui ao shopping", "estopim da briga", "topei com ela", "fui ao show ontem e chorei", "oklahoma",
    "simples assim", "Fui obrigada a aceitar", "não sou obrigada", "me senti obrigado", "não valeu a pena",
    "boa noite, queria falar do meu chefe hoje", "bom dia", "não tive uma boa semana", "beijou outra",
    "Obrigada, mas e agora?", "amanhã tenho que ir ao médico e estou com medo", "isso me deixou triste",
    "claro que não", "", "Sim, mas não sei se aguento", "combinado não foi cumprido",
]  # fmt: skip


@pytest.mark.parametrize("said", ENDS)
def test_words_that_close_a_conversation(world: World, said: str) -> None:
    """Accents, capitals, drawn-out letters and emoji do not matter; a lone confirmation closes it too."""
    assert world.value("select messaging.is_natural_end(%s, 'Conta comigo.')", said) is True


@pytest.mark.parametrize("said", GOES_ON)
def test_words_that_only_look_like_an_end(world: World, said: str) -> None:
    """Parts of words, greetings, questions and other meanings of the same word close nothing."""
    assert world.value("select messaging.is_natural_end(%s, 'Quer me contar?')", said) is False


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        ("Quer continuar amanhã?", False),
        ("Quer continuar amanhã? 💛", False),
        ("Sério? Então combinado.", True),
        ("Combinado.", True),
        (None, True),
    ],
)
def test_a_lone_yes_to_a_question_ends_nothing(world: World, asked: str | None, ends: bool) -> None:
    """It answers; thanks and goodbyes end a conversation also after a question."""
    assert world.value("select messaging.is_natural_end('sim', %s)", asked) is ends
    assert world.value("select messaging.is_natural_end('obrigada', %s)", asked) is True


QUIET = [("21:59:59", None), ("22:00", 22), ("23:59:59", 23), ("00:00", 0), ("07:59:59", 7), ("08:00", None)]


@pytest.mark.parametrize(("hour", "told"), QUIET)
def test_the_quiet_hour_is_that_of_sao_paulo(
    world: World, bent_clock: BentClock, hour: str, told: int | None
) -> None:
    """22:00 to 08:00, to the second; null by day."""
    bent_clock.move_to(f"2026-11-18 {hour}-03")
    assert world.value("select messaging.quiet_hour()") == told
