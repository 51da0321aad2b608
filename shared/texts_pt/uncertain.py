"""What a manager reads on the page "Envios incertos": what is known of a message, what a decision does."""

from shared.texts_pt import pages
from shared.texts_pt.pages import Word

# reliability.md, section 3, word for word.
WARNING = "Envio incerto: o provedor não confirmou se a mensagem saiu. Reenviar pode duplicar."

NO_VERDICT = Word("Sem confirmação", "wait")
WAITS_THERE = Word("Na fila do provedor", "wait")
VERDICTS = {
    "not_sent": Word("Provavelmente não saiu", "bad"),
    "sent": Word("Provavelmente saiu", "ok"),
}

NOT_CONFIRMED = "O provedor ainda não confirmou."
# By source and by what it says; evidence that has no sentence is told by OTHERWISE.
KNOWN = {
    ("receipt", "sent"): "Chegou uma confirmação do WhatsApp.",
    ("receipt", "not_sent"): "O provedor avisou que o envio falhou.",
    ("outgoing_event", "sent"): "O número mostrou uma mensagem igual saindo.",
    (
        "outgoing_event",
        "nothing",
    ): "O número mostrou mensagens parecidas saindo; não dá para saber se é esta.",
    ("provider_queue", "waiting"): "Está na fila do provedor e ainda pode sair sozinha.",
    ("provider_queue", "nothing"): "Não está na fila do provedor.",
    ("provider_queue", "not_sent"): "Foi retirada da fila do provedor antes de sair.",
    ("provider_search", "sent"): "O provedor achou esta mensagem entre as enviadas.",
    ("provider_search", "nothing"): "O provedor procurou e não achou esta mensagem.",
    ("provider_search", "not_sent"): "O provedor procurou e não achou esta mensagem.",
    ("silence", "not_sent"): "Nenhum sinal em 15 minutos; o canal estava vivo.",
    ("silence", "nothing"): "Nenhum sinal em 15 minutos; o canal estava vivo.",
    ("late_answer", "sent"): "A resposta do provedor chegou atrasada: saiu.",
    ("late_answer", "not_sent"): "A resposta do provedor chegou atrasada: não saiu.",
    ("late_answer", "nothing"): "A resposta do provedor chegou atrasada e não diz se saiu.",
}
OTHERWISE = {
    "sent": "Há um sinal de que saiu.",
    "not_sent": "Há um sinal de que não saiu.",
    "waiting": "Ainda pode sair sozinha.",
    "nothing": "Um sinal que não diz se saiu.",
}

# What happens where nobody decides, by on_unknown.
BY_ITSELF = {
    "hold": "Nada é reenviado sem a sua decisão.",
    "resend_once": "Se o silêncio se confirmar, é reenviada sozinha, uma única vez.",
    "drop": "Sem novidade, é descartada: {time}.",
}

PURPOSES = pages.PURPOSES | {
    "agency_optout": "Confirmação de saída",
    "answer": "Resposta",
    "direct": "Mensagem avulsa",
    "welcome": "Boas-vindas",
    "welcome_back": "Boas-vindas de volta",
    "farewell": "Despedida",
    "payment": "Pagamento",
    "upgrade": "Novo plano",
    "meditation_intro": "Meditação",
    "meditation": "Meditação",
    "weekly_report": "Relatório semanal",
    "content": "Conteúdo",
    "content_completed": "Conteúdo concluído",
    "session_summary": "Resumo da sessão",
    "session_rating": "Avaliação da sessão",
    "checkin": "Como você está",
    "reactivation": "Reencontro",
    "reactivation_missed": "Reencontro",
    "conversation_followup": "Retomada da conversa",
    "commitment_followup": "Combinado",
    "schedule_setup": "Agenda do mês",
    "schedule_renewal": "Agenda do mês",
}
SESSION = "Lembrete de sessão"
KINDS = {"audio": "Áudio", "image": "Imagem", "document": "Documento"}
NO_TEXT = "Sem texto"
SOMEBODY = "Telefone …{tail}"
THE_HOUSE = "Da casa"

FROM_CLIENT = "pelo número do cliente"
FROM_AGENCY = "pelo número da agência"
FROM_NUMBER = "pelo número {name}"

BUTTONS = {"resend": "Reenviar", "consider_sent": "Considerar enviada", "drop": "Descartar"}
QUESTIONS = {
    "resend": "Reenviar esta mensagem?",
    "consider_sent": "Considerar esta mensagem enviada?",
    "drop": "Descartar esta mensagem?",
}
CONSEQUENCES = {
    "resend": (
        "Ela volta para a fila do mesmo número e sai mais uma vez. Se a primeira tiver saído, a pessoa "
        "recebe duas iguais."
    ),
    "consider_sent": (
        "Nada mais é enviado, e ela passa a constar como aceita. Se não tiver saído, a pessoa fica sem ela."
    ),
    "drop": "Nada mais é enviado, e ela passa a constar como retirada. Se tiver saído, já chegou.",
}
WAITS_SO_NO_RESEND = "Enquanto estiver na fila do provedor não dá para reenviar: ela ainda pode sair sozinha."
# ?notice= after a decision.
DONE = {"resend": "uncertain_resent", "consider_sent": "uncertain_considered", "drop": "uncertain_dropped"}
TOO_LATE = "uncertain_settled"
STILL_THERE = "uncertain_waits"


def more(count: int) -> str:
    """How many are not shown."""
    if count == 1:
        return "E mais 1, que aparece aqui quando uma destas for decidida."
    return f"E mais {count}, que aparecem aqui conforme estas forem decididas."
