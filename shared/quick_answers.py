"""Words that need no agent: stop, start, a rating, a confirmation, a session's beginning, a pause. Pure.

Each asks for the whole message: a word inside a sentence orders nothing.
"""

import re
import unicodedata
from typing import Literal

Command = Literal["stop", "start"]

LONGEST_RATING = 80

_STOP = frozenset({"sair", "parar", "stop", "cancelar"})
_START = frozenset(
    {"voltar", "start", "iniciar", "comecar", "recomecar", "retomar", "quero voltar", "quero receber"}
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONFIRMING = _words(
    """sim s confirmo confirmado confirmada confirmar ok okay okey certo claro combinado fechado beleza blz
    isso perfeito positivo yes aham uhum certeza"""
)
# What may stand beside a confirming word, and confirms nothing by itself.
_BESIDE = _words(
    """ta esta pode ser com que estarei la eu a o minha nossa sessao presenca obrigada obrigado aura"""
)
_MOST_WORDS = 5
_BEGINNING = _words("vamos vamo bora vambora comecar comecamos comecemos")
# What may stand beside a word of beginning.
_BESIDE_BEGINNING = _words(
    "la entao sim ja agora a gente pode podemos estou to pronta pronto aqui aura oi com"
)
_PAUSING = re.compile(r"(?:quero |por favor )?pausar (?:as? |minhas? )*jornadas?(?: por favor)?")
_THUMBS = frozenset("👍✅👌")

# What may stand around the number of a rating without making it a sentence about something else.
_AROUND = _words(
    """minha a de dou daria dei e foi eu te vou dar merece nota avaliacao avalio estrela estrelas star stars
    por favor obrigado obrigada valeu aura com certeza gostei amei adorei muito bom boa otimo otima"""
)
_NUMBERS = {"um": 1, "uma": 1, "dois": 2, "duas": 2, "tres": 3, "quatro": 4, "cinco": 5} | {
    str(number): number for number in range(1, 6)
}
_STARS = "⭐🌟"
_TOP = 5


def command(text: str | None) -> Command | None:
    """The order that a whole message is: SAIR, PARAR, STOP, CANCELAR; VOLTAR and the like begin again."""
    words = _plain(text)
    if words in _STOP:
        return "stop"
    return "start" if words in _START else None


def begins(text: str | None) -> bool:
    """Whether a message says nothing but that the session may begin: "vamos", "bora lá!", a lone yes."""
    words = _plain(text).split()
    allowed = _BEGINNING | _BESIDE_BEGINNING | _CONFIRMING
    begun = bool(_BEGINNING & set(words)) and set(words) <= allowed
    return confirms(text) or (begun and len(words) <= _MOST_WORDS)


def pauses_journeys(text: str | None) -> bool:
    """Whether a whole message asks for no more episodes, as the first one says: "pausar jornadas"."""
    return _PAUSING.fullmatch(_plain(text)) is not None


def confirms(text: str | None) -> bool:
    """Whether a message says nothing but yes."""
    if text and set(_bare(text)) and set(_bare(text)) <= _THUMBS:
        return True
    words = _plain(text).split()
    confirming = bool(_CONFIRMING & set(words)) and set(words) <= _CONFIRMING | _BESIDE
    return confirming and len(words) <= _MOST_WORDS


def rating(text: str | None) -> int | None:
    """The rating that a message gives, 1 to 5: a lone digit, "5 ⭐", "nota 4", "4/5", stars, a number word.

    None for 0, 6 and more, fractions, several numbers, and numbers that belong to a sentence.
    """
    if not text or len(text) > LONGEST_RATING:
        return None
    stars = _bare(text)
    if stars and set(stars) <= set(_STARS):
        return len(stars) if len(stars) <= _TOP else None
    # A fraction is one word here, and so no number from 1 to 5; "4/5" and "4 de 5" are three.
    plain = re.sub(r"(?<!\d)[.,]|[.,](?!\d)", " ", _folded(text))
    words = re.findall(r"\w+(?:[.,]\d+)*|[/-]", plain)
    numbers = [index for index, word in enumerate(words) if word in _NUMBERS or word[0].isdigit()]
    if not numbers or not _is_rating(words, numbers):
        return None
    return _NUMBERS.get(words[numbers[0]])


def _is_rating(words: list[str], numbers: list[int]) -> bool:
    """Whether the numbers are one rating, alone or out of five, and the other words say nothing else."""
    first, last = numbers[0], numbers[-1]
    out_of_five = words[first + 1 : last] in (["/"], ["de"], ["em"]) and words[last] == str(_TOP)
    if len(numbers) > 1 and not out_of_five:
        return False
    others = words[:first] + words[last + 1 :]
    # A bare word such as "um" is a rating only where nothing but stars or "nota" is with it.
    if not words[first].isdigit() and not set(others) <= {"nota", "estrela", "estrelas"}:
        return False
    return set(others) <= _AROUND


def _bare(text: str) -> str:
    """Without spaces, skin tones and the marks that choose how an emoji looks."""
    return re.sub("[\\s\ufe0f\u20e3\U0001f3fb-\U0001f3ff]", "", text)


def _folded(text: str) -> str:
    """Lower case, without accents, emoji digits and full-width forms as plain ones."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each) and each != "\ufe0f")


def _plain(text: str | None) -> str:
    """The words alone: no punctuation, no emoji; one space between them. Empty where there are none."""
    if not text or len(text) > LONGEST_RATING:
        return ""
    return " ".join(re.sub(r"[^\w\s]|_", " ", _folded(text)).split())
