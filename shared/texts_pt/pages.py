"""What a manager reads on the pages where it depends on a state: badges, pairing, deliveries, refusals.

Tones are ok, wait, bad and idle: how the style sheet colours them. The other words are in edge/templates.
"""

from typing import NamedTuple


class Word(NamedTuple):
    """A short text with its tone."""

    text: str
    tone: str


CONNECTED = Word("Conectado", "ok")
DISCONNECTED = Word("Desconectado", "bad")
WAITING_FOR_SCAN = Word("Aguardando leitura", "wait")
WITHOUT_NUMBER = Word("Sem número", "idle")

CONNECT = "Conectar WhatsApp"
RECONNECT = "Reconectar"
SHOW_CODE = "Mostrar código"

THE_AGENCY = "Número da agência"
UNNAMED_CLIENT = "Cliente sem nome"

SPEAKS_CLIENT = "Número do cliente"
SPEAKS_AGENCY = "Número da agência"
SPEAKS_AGENCY_WHY = "Número da agência, até o cliente conectar o dele"
SPEAKS_NOBODY = "Ninguém: falta conectar um número"
SPEAKS_NOBODY_AGENCY = "Ninguém: falta conectar este número"

# What the dialog says of a pairing, by its state.
PAIRING = {
    "connecting": Word("Conectando…", "wait"),
    "waiting_for_scan": Word("Leia o código com o WhatsApp do cliente", "wait"),
    "connected": Word("Conectado", "ok"),
    "expired": Word("Código expirado", "wait"),
    "ended": Word("Desconectado", "bad"),
    "refused": Word("Recusado: o WhatsApp não aceitou a conexão", "bad"),
    "passkey_needed": Word("Precisa de passkey", "bad"),
}
PAIRING_HELP = {
    "connecting": "Estamos pedindo um código ao WhatsApp. Leva alguns segundos.",
    "waiting_for_scan": "O código se renova sozinho enquanto esta janela estiver aberta.",
    "connected": "As mensagens deste cliente passam a sair do próprio número.",
    "expired": "Ninguém leu o código a tempo. Gere um novo quando o celular estiver em mãos.",
    "ended": "O número foi desconectado. Gere um novo código para conectar outra vez.",
    "refused": "Espere alguns minutos, confira se o WhatsApp do celular está atualizado e tente de novo.",
    "passkey_needed": (
        "Esta conta pede uma passkey, que só o celular pode confirmar. No celular: Configurações → Conta → "
        "Passkeys, remova a passkey, e gere um novo código."
    ),
}
# The same where they differ for the agency's own number.
PAIRING_AGENCY = {"waiting_for_scan": Word("Leia o código com o WhatsApp da agência", "wait")}
PAIRING_HELP_AGENCY = {"connected": "As mensagens dos clientes sem número próprio passam a sair deste."}

HALTED = {
    "license_required": "A Evolution API pede a ativação da licença",
    "unsupported_version": "A versão da Evolution API não é aceita",
}
HALTED_OTHERWISE = "O provedor recusou este número; nada sai até alguém resolver"

# Where a message stands: dispatch_state, then delivery where it was accepted.
QUEUED = "Na fila"
QUEUED_UNTIL = "Na fila, sai por volta de {time}"
HELD_CLIENT = "Aguardando o número do cliente voltar"
HELD_AGENCY = "Aguardando o número da agência voltar"
HELD_BY_ANOTHER = "Aguardando a decisão sobre um envio incerto anterior"
DELIVERIES = {
    "sent": Word("Aceita", "ok"),
    "delivered": Word("Entregue", "ok"),
    "read": Word("Lida", "ok"),
    "failed": Word("Não entregue", "bad"),
}
ACCEPTED = Word("Aceita", "ok")
STATES = {
    "sending": Word("Saindo agora", "wait"),
    "unknown": Word("Envio incerto", "wait"),
    "expired": Word("Expirada", "bad"),
}
WITHDRAWN = "Retirada"
REJECTED = "Recusada"
LOGGED = "Enviada"
NOT_SENT = "Não enviada"
NO_REASON = "o provedor não disse por quê"
# What a reason in the database contains, and how it is told.
REASONS = {
    "not on WhatsApp": "o telefone não tem WhatsApp",
    "exists": "o telefone não tem WhatsApp",
    "disconnected on purpose": "o número foi desconectado",
    "opted out": "a pessoa pediu para não receber mensagens",
    "switched off": "o alerta foi desligado",
    "removed": "o cliente foi removido",
}
PURPOSES = {"agency_report": "Relatório", "balance_alert": "Alerta de saldo", "agency_message": "Mensagem"}
PURPOSE_OTHERWISE = "Mensagem"
SPOKE_CLIENT = "Pelo número do cliente"
SPOKE_AGENCY = "Pelo número da agência: o cliente ainda não tinha conectado o dele"
SPOKE_NOBODY = "Por nenhum número"

# What a page answers where it cannot do what was asked, by HTTP status.
PROBLEMS = {
    400: ("Não deu para entender o pedido", "Confira o que foi preenchido e tente de novo."),
    403: (
        "Esta área é dos gestores",
        "Sua conta não é de gestor de uma agência. Peça acesso a quem administra, ou entre com outra conta.",
    ),
    404: ("Página não encontrada", "Este endereço não existe, ou não pertence à sua agência."),
    405: ("Página não encontrada", "Este endereço não existe, ou não pertence à sua agência."),
    409: (
        "Alguma coisa mudou enquanto isso",
        "Outra pessoa ou outra janela fez uma mudança ao mesmo tempo. Atualize a página e tente de novo.",
    ),
    413: ("Conteúdo grande demais", "O que foi enviado é maior do que esta página aceita."),
    415: ("Formato não aceito", "Esta página só aceita os próprios formulários."),
    429: ("Muitas tentativas", "Espere um minuto e tente de novo."),
    500: (
        "Algo deu errado aqui",
        "O erro foi registrado. Tente de novo; se continuar, avise quem opera isto.",
    ),
    502: (
        "O provedor do WhatsApp não respondeu bem",
        "A Evolution API recusou ou não respondeu. Tente de novo em instantes.",
    ),
    503: (
        "Fora do ar por um momento",
        "Uma parte do sistema não responde agora. Tente de novo em instantes.",
    ),
}
FORM_REFUSED = (
    "Formulário vencido",
    "Por segurança, um formulário só vale na página em que foi aberto. Atualize a página e tente de novo.",
)

SIGN_IN_WRONG = "E-mail ou senha não conferem."
SIGN_IN_EMPTY = "Preencha o e-mail e a senha."
SIGN_IN_AWAY = "O serviço de entrada não responde agora. Tente de novo em instantes."
SIGN_IN_TOO_MANY = "Muitas tentativas seguidas. Espere um minuto e tente de novo."
SESSION_OVER = "Sua sessão terminou. Entre de novo."

TROUBLE = "A Evolution API não respondeu agora. Continuamos tentando enquanto esta janela estiver aberta."

BAD_PHONE = "Informe o telefone com DDD, como 11 98765-4321."
BAD_EMAIL = "Informe um e-mail, como nome@empresa.com.br."
TOO_SHORT = "A senha precisa de pelo menos 8 caracteres."
LOGIN_REFUSED = "O serviço de entrada não aceitou este e-mail ou esta senha. Tente uma senha mais longa."
LOGIN_TAKEN = "Este e-mail já é de outra conta ou de um cliente já cadastrado."
NO_LOGINS = "Este servidor ainda não cria contas: quem o opera precisa definir SUPABASE_SERVICE_ROLE_KEY."
PREVIEW_OLD_PERIOD = "Salve para ver os números do novo período."
BAD_ACCOUNT = "Linha {line}: comece com o identificador da conta (letras, números, _ e -), depois o nome."
ACCOUNT_TWICE = "Linha {line}: a conta {account} já está na lista."
TOO_MANY_ACCOUNTS = "No máximo 200 contas por cliente."
LABEL_EMPTY = "Informe o nome do cliente."
LABEL_LONG = "O nome aceita no máximo 120 caracteres."
TICK_TO_REMOVE = "Marque a caixa para confirmar."
BAD_AMOUNT = "Informe um valor em reais, como 150,00."
ALERT_NEEDS_PHONE = "Um alerta ativo precisa do telefone de quem recebe o aviso."
ACCOUNT_TAKEN = "Uma destas contas já tem alerta em outro cliente. Remova lá antes de salvar aqui."
ACCOUNTS_CHANGED = "As contas deste cliente mudaram enquanto isso. Atualize a página e tente de novo."
REPORT_NEEDS_PHONE = "Informe o telefone que recebe o relatório."
BAD_TIME = "Informe um horário, como 09:00."
BAD_MONTH_DAY = "Informe um dia de 1 a 31."
BAD_CHOICE = "Escolha uma das opções."
NO_EVOLUTION = (
    "Este servidor ainda não está ligado à Evolution API. Quem o opera precisa definir EVOLUTION_API_URL e "
    "EVOLUTION_API_KEY."
)

# What a page says once after something was done: ?notice=<name>.
NOTICES = {
    "disconnected": Word("Número desconectado.", "ok"),
    "nothing": Word("Não havia número conectado.", "idle"),
    "saved": Word("Configurações salvas.", "ok"),
    "alerts_saved": Word("Alertas salvos.", "ok"),
    "accounts_saved": Word("Contas salvas.", "ok"),
    "client_added": Word("Cliente adicionado.", "ok"),
    "client_renamed": Word("Nome alterado.", "ok"),
    "uncertain_resent": Word("A mensagem voltou para a fila e sai no ritmo do número.", "ok"),
    "uncertain_considered": Word("A mensagem consta como enviada.", "ok"),
    "uncertain_dropped": Word("A mensagem foi descartada.", "ok"),
    "uncertain_settled": Word(
        "Esta mensagem já tinha sido decidida por outra pessoa, ou confirmada. Nada mudou.", "idle"
    ),
    "uncertain_waits": Word(
        "A mensagem ainda está na fila do provedor e pode sair sozinha. Nada mudou.", "wait"
    ),
    "client_removed": Word("Cliente removido, com a conexão, os relatórios e os alertas dele.", "ok"),
}


def since(moment: str) -> str:
    """From when on a number has been as it is."""
    return f"desde {moment}"


def waiting(count: int) -> str:
    """How many messages wait on a number."""
    if count == 0:
        return "Nenhuma"
    return "1 mensagem" if count == 1 else f"{count} mensagens"


METRICS = {
    "investment": "Investimento",
    "revenue": "Faturamento",
    "roas": "ROAS",
    "conversions": "Conversões",
    "cpa": "Custo por conversão",
    "leads": "Leads",
    "messages": "Conversas iniciadas",
    "impressions": "Impressões",
    "clicks": "Cliques",
    "ctr": "Taxa de cliques",
    "cpc": "Custo por clique",
    "cpm": "Custo por mil",
}
FREQUENCIES = {
    "manual": "Só quando eu enviar",
    "daily": "Todo dia",
    "weekly": "Toda semana",
    "monthly": "Todo mês",
}
WEEKDAYS = (
    "Domingo",
    "Segunda-feira",
    "Terça-feira",
    "Quarta-feira",
    "Quinta-feira",
    "Sexta-feira",
    "Sábado",
)
PERIODS = {
    "yesterday": "Ontem",
    "last_7_days": "Últimos 7 dias",
    "last_30_days": "Últimos 30 dias",
    "this_month": "Este mês",
    "last_month": "Mês passado",
}
