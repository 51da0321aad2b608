"""What a person reads about an account: signing up, buying, paying and leaving, in Portuguese."""

from shared.texts_pt import hello

SIGNED_UP = "Cadastro feito! Em instantes você recebe uma mensagem no WhatsApp."
SIGNED_UP_IN_SILENCE = "Cadastro feito! Assim que possível a Aura escreve para você no WhatsApp."
ALREADY_SIGNED_UP = "Este número já está cadastrado. É só continuar a conversa no WhatsApp."

_ASK_FOR_TIMES = (
    "Seu plano inclui sessões comigo. Quais dias da semana e horários são melhores para você? "
    "Me conta, e a gente combina."
)
_STOP = "Se um dia quiser parar de receber minhas mensagens, responda SAIR."


def welcome(name: str | None) -> str:
    """The first message a person gets."""
    return (
        f"{hello(name)} Que bom ter você aqui. 💛\n\n"
        "Eu sou a Aura e vou caminhar com você por este número. "
        f"Quando quiser conversar, é só responder a esta mensagem.\n\n{_STOP}"
    )


def checkout(name: str | None, checkout_url: str | None) -> dict[str, str]:
    """What a purchase may ask to be said, by kind; SQL knows which one fits (messaging.apply_checkout).

    "_sessions": the plan has sessions, and the person is asked for days and times.
    """
    opening = f"{hello(name)} Seu pagamento foi confirmado e seu plano está ativo. 💛"
    upgrade = f"{hello(name)} Seu novo plano já está valendo. Obrigada por seguir comigo! 💛"
    back = f"{hello(name)} Que alegria ter você de volta! Seu plano está ativo de novo. 💛"
    introduction = "Eu sou a Aura e vou caminhar com você por este número."
    write = "Quando quiser conversar, é só me escrever."
    return {
        "welcome": f"{opening}\n\n{introduction} {write}\n\n{_STOP}",
        "welcome_sessions": f"{opening}\n\n{introduction} {_ASK_FOR_TIMES}\n\n{_STOP}",
        "upgrade": f"{upgrade}\n\n{write}",
        "upgrade_sessions": f"{upgrade}\n\n{_ASK_FOR_TIMES}",
        "welcome_back": f"{back}\n\n{write}",
        "welcome_back_sessions": f"{back}\n\n{_ASK_FOR_TIMES}",
        "payment_refused": (
            f"{hello(name)} O pagamento da sua compra não foi concluído, então nada mudou por aqui."
            f"{_link('Se quiser tentar de novo:', checkout_url)}"
        ),
    }


def subscription(name: str | None, checkout_url: str | None) -> dict[str, str]:
    """What a change of a subscription may ask to be said, by purpose (messaging.apply_subscription)."""
    return {
        "farewell": (
            f"{hello(name)} Sua assinatura foi encerrada. "
            "Obrigada por cada conversa: foi bom caminhar com você. 💛"
            f"{_link('Se quiser voltar um dia:', checkout_url)}"
        ),
        "welcome_back": (
            f"{hello(name)} Sua assinatura está ativa de novo. Que bom continuar com você! 💛\n\n"
            "Quando quiser conversar, é só me escrever."
        ),
        "payment": (
            f"{hello(name)} O último pagamento da sua assinatura não passou. Acontece! "
            "Vale conferir os dados do cartão para seguirmos sem interrupção."
            f"{_link('Você pode resolver por aqui:', checkout_url)}"
        ),
    }


def _link(words: str, url: str | None) -> str:
    return f"\n\n{words} {url}" if url else ""
