"""What somebody reads who told the number of an agency or of a client to stop, or to go on."""

STOPPED = (
    "Pronto: você não vai mais receber mensagens automáticas nossas por aqui. "
    "Se mudar de ideia, é só responder VOLTAR."
)
STARTED = "Certo: você volta a receber nossas mensagens por aqui. Para parar, é só responder SAIR."
