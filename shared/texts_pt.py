"""Every text that a Brazilian person reads, in Portuguese: the messages, and the sentences of start-trial."""

from collections.abc import Mapping, Sequence
from typing import Any

SIGNED_UP = "Cadastro feito! Em instantes você recebe uma mensagem no WhatsApp."
ALREADY_SIGNED_UP = "Este número já está cadastrado. É só continuar a conversa no WhatsApp."


def first_name(name: str | None) -> str:
    """The first word of a name, for a greeting; empty where there is none."""
    return next(iter((name or "").split()), "")[:40]


def welcome(name: str | None) -> str:
    """The first message a person gets."""
    return (
        f"{_hello(name)} Que bom ter você aqui. 💛\n\n"
        "Eu sou a Aura e vou caminhar com você por este número. "
        "Quando quiser conversar, é só responder a esta mensagem."
    )


def fixed_answer(name: str | None, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The answer to a turn while no agent composes one; an apology where there was nothing but audio."""
    if events and all(event.get("message_kind") == "audio" and not event.get("text") for event in events):
        return [f"{_hello(name)} Recebi seu áudio, mas não consegui ouvir agora. 🙏 Pode me escrever?"]
    return [f"{_hello(name)} Recebi sua mensagem e já guardei aqui. Logo continuo a conversa. 💛"]


def _hello(name: str | None) -> str:
    called = first_name(name)
    return f"Oi, {called}!" if called else "Oi!"
