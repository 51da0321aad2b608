"""Words that need no agent: which messages are orders, ratings, confirmations, and which are none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import quick_answers

STOPS = ["SAIR", "sair", " Sair. ", "PARAR", "parar!", "Stop", "CANCELAR", "cancelar 🛑", "s\u0301top"]
STARTS = ["VOLTAR", "voltar!", "Start", "começar", "COMEÇAR", "comecar", "Quero voltar", "recomeçar"]
NO_ORDERS = [
    None, "", " ", "🛑", "quero sair", "sair daqui", "não quero parar", "vou sair com amigos",
    "cancelar sessão", "parar?? por quê", "oi", "pare", "stopped", "volta logo", "sair\nsair",
]  # fmt: skip

RATINGS = {
    "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, " 5 ": 5, "5!": 5, "4.": 4, "5️⃣": 5, "５": 5, "*5*": 5,
    "5 ⭐": 5, "5⭐⭐⭐⭐⭐": 5, "⭐⭐⭐⭐": 4, "⭐️ ⭐️": 2, "🌟": 1, "5 👏👏": 5,
    "nota 4": 4, "Nota: 4": 4, "NOTA 4!": 4, "nota quatro": 4, "minha nota é 3": 3, "dou 5": 5,
    "eu dou nota 5": 5,
    "4/5": 4, "4 / 5": 4, "3 de 5": 3, "5 em 5": 5, "5 estrelas": 5, "cinco estrelas": 5, "Três": 3, "um": 1,
    "4, gostei muito": 4, "5 obrigada": 5,
}  # fmt: skip
NO_RATINGS = [
    None, "", "0", "6", "7", "8", "9", "10", "50", "05", "4,5", "4.5", "3,0", "-5", "4 5", "4 ou 5", "3-4",
    "4/10", "nota 8",
    "nota 4 de 10", "10/10", "tenho 2 filhos", "às 3", "às 3 podemos falar?", "um abraço", "uma pergunta",
    "dois dias",
    "5 minutos", "quero remarcar para as 4", "⭐" * 6, "estrela", "nota", "!", "½", "5 " + "a" * 80, "1a",
]  # fmt: skip

YES = [
    "sim", "Sim!", "SIM 🙏", "confirmo", "Confirmado.", "ok", "OK!!", "okay", "claro", "claro que sim", "👍",
    "✅", "sim, confirmo", "👍🏽", "com certeza", "tá confirmado", "ok, obrigada", "pode confirmar", "s",
]  # fmt: skip
NO_YES = [
    None, "", "não", "nao confirmo", "sim, mas às 15h", "ok?? não entendi", "talvez", "quero remarcar",
    "simples", "certo dia eu sonhei", "obrigada", "pode ser amanhã?", "👎", "👍👎", "❤️",
    "sim " * 6, "bora", "vamos",
]  # fmt: skip

BEGINS = ["vamos", "Bora!", "bora lá", "vamos lá 💛", "sim, vamos", "pode começar", "sim", "👍", "oi, vamos"]
NO_BEGINS = [
    None, "", "já", "agora não", "vamos remarcar", "vamos ver", "bora dormir", "hoje não vamos",
    "vamos?? quando",
    "vamos " * 6, "estou aqui",
]  # fmt: skip
PAUSES = [
    "pausar jornadas",
    "*Pausar jornadas*",
    "pausar as minhas jornadas",
    "Quero pausar a jornada, por favor",
]
NO_PAUSES = [
    None,
    "",
    "pausar",
    "jornadas",
    "quero pausar a jornada de trabalho",
    "não quero pausar jornadas",
]


@pytest.mark.parametrize("text", STOPS)
def test_stop_words_stop(text: str) -> None:
    """SAIR, PARAR, STOP, CANCELAR as the whole message, however they are dressed."""
    assert quick_answers.command(text) == "stop"


@pytest.mark.parametrize("text", STARTS)
def test_start_words_start(text: str) -> None:
    """VOLTAR and other words to begin again, as the whole message."""
    assert quick_answers.command(text) == "start"


@pytest.mark.parametrize("text", NO_ORDERS)
def test_word_inside_a_sentence_orders_nothing(text: str | None) -> None:
    """Whoever tells that she goes out does not opt out."""
    assert quick_answers.command(text) is None


@pytest.mark.parametrize(("text", "rating"), RATINGS.items())
def test_rating_is_read_in_the_forms_that_people_use(text: str, rating: int) -> None:
    """Digits, stars, words, "nota 4", "4/5"."""
    assert quick_answers.rating(text) == rating


@pytest.mark.parametrize("text", NO_RATINGS)
def test_number_of_something_else_is_no_rating(text: str | None) -> None:
    """0, 6 to 10, fractions, two numbers, and numbers that count something."""
    assert quick_answers.rating(text) is None


@pytest.mark.parametrize("text", YES)
def test_lone_yes_confirms(text: str) -> None:
    """A yes and nothing but politeness beside it."""
    assert quick_answers.confirms(text)


@pytest.mark.parametrize("text", NO_YES)
def test_anything_more_than_yes_is_left_to_the_agent(text: str | None) -> None:
    """Refusals, conditions, other times, other words."""
    assert not quick_answers.confirms(text)


@pytest.mark.parametrize("text", BEGINS)
def test_session_begins_at_a_word_that_says_so(text: str) -> None:
    """What the announcement asks for, its likes, and a lone yes."""
    assert quick_answers.begins(text)


@pytest.mark.parametrize("text", NO_BEGINS)
def test_words_about_something_else_begin_no_session(text: str | None) -> None:
    """Another time, a refusal, a question."""
    assert not quick_answers.begins(text)


@pytest.mark.parametrize("text", PAUSES)
def test_pause_is_asked_for_as_the_first_episode_says(text: str) -> None:
    """The whole message, in the forms that people use."""
    assert quick_answers.pauses_journeys(text)


@pytest.mark.parametrize("text", NO_PAUSES)
def test_journey_inside_a_sentence_pauses_nothing(text: str | None) -> None:
    """Whoever tells of a journey keeps the episodes."""
    assert not quick_answers.pauses_journeys(text)


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error_into_something_possible(text: str) -> None:
    """A rating is 1 to 5; no text is two things at once."""
    rating = quick_answers.rating(text)
    assert rating is None or rating in range(1, 6)
    assert not (quick_answers.confirms(text) and (rating or quick_answers.command(text)))


@pytest.mark.parametrize(
    "text",
    ["uma" * 26, "um " * 26, "4/" * 40, "a" * 100_000, "1" * 100_000, "⭐" * 100_000, "de 5 " * 20_000],
)
def test_hostile_text_costs_no_time(text: str) -> None:
    """A webhook reads every message in the world."""
    began = time.thread_time()
    quick_answers.rating(text)
    quick_answers.confirms(text)
    quick_answers.command(text)
    quick_answers.begins(text)
    quick_answers.pauses_journeys(text)
    assert time.thread_time() - began < 0.2
