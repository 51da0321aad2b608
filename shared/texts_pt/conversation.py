"""What a person reads in a conversation, in Portuguese: answers that no agent composed."""

from shared.texts_pt import hello

_GOOD = 4
_MIDDLING = 3


def fixed_answer(name: str | None) -> str:
    """The answer to a turn while no agent composes one."""
    return (
        f"{hello(name)} Sua mensagem chegou e está guardada comigo. "
        "Agora não consigo conversar como eu queria. 💛 "
        "Se precisar de apoio já, o CVV atende de graça, a qualquer hora, no 188."
    )


def not_heard(name: str | None) -> str:
    """The apology for an audio that could not be turned into words."""
    return f"{hello(name)} Recebi seu áudio, mas não consegui ouvir agora. 🙏 Pode me escrever?"


def stopped(name: str | None) -> str:
    """The one confirmation of an opt-out."""
    return (
        f"{hello(name)} Pronto: não vou mais te enviar lembretes nem novidades por aqui. "
        "Se mudar de ideia, é só escrever VOLTAR. 💛"
    )


def started(name: str | None) -> str:
    """The confirmation that an opt-out is undone."""
    return f"{hello(name)} Que bom ter você de volta. 💛 Seus lembretes e novidades estão ligados de novo."


def journeys_paused(name: str | None) -> str:
    """The confirmation that no more episodes come."""
    return f"{hello(name)} Pronto: suas jornadas estão pausadas e não chegam mais episódios. 💛"


def session_begun(name: str | None) -> str:
    """The opening of a booked session that the person is there for."""
    return f"{hello(name)} Que bom que você veio. 💛 Nossa sessão começou: o que você quer trazer para hoje?"


def trial_over(name: str | None, checkout_url: str | None) -> str:
    """What somebody reads whose trial conversations are used up."""
    return f"{hello(name)} Suas conversas de teste terminaram. {_go_on(checkout_url)}"


def canceled(name: str | None, checkout_url: str | None) -> str:
    """What somebody reads who canceled and writes again."""
    return f"{hello(name)} Sua assinatura está encerrada, e sinto sua falta. {_go_on(checkout_url)}"


def rated(name: str | None, rating: int) -> str:
    """The thanks for a session's rating, 1 to 5."""
    if rating >= _GOOD:
        return f"{hello(name)} Que alegria saber que a sessão te fez bem! Obrigada por me contar. 💛"
    if rating == _MIDDLING:
        return f"{hello(name)} Obrigada pela sinceridade. O que faria a próxima sessão valer mais para você?"
    return f"{hello(name)} Obrigada por me dizer. Sinto que não foi como você esperava: o que faltou? 🙏"


def confirmed(name: str | None, date: str, time: str) -> str:
    """The answer to a confirmed session; `date` as 31/12 and `time` as 19:30, São Paulo."""
    return f"{hello(name)} Presença confirmada: {date} às {time}. Até lá! 💛"


def _go_on(checkout_url: str | None) -> str:
    if checkout_url is None:
        return "Quando quiser continuar, me avise por aqui. 💛"
    return f"Para continuar comigo, é por aqui: {checkout_url} 💛"
