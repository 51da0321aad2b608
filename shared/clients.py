"""An agency's clients: added with a login of their own, removed with all that hangs on them. For the function
and for the pages. Who may is decided in SQL (migration 0060)."""

from uuid import UUID

from shared import log
from shared.connections import Connections
from shared.db import Calls
from shared.errors import DatabaseUnavailable
from shared.logins import AuthAdmin, LinkPending, Login
from shared.settings import Settings

# As messaging.client_label_of has it: asked before a login is made for nothing.
LONGEST_LABEL = 120


def add(
    db: Calls, settings: Settings, agency_id: UUID, *, email: str, password: str, client_label: str
) -> Login:
    """Makes the login, then links it; asked again, it finds the login that it made before.

    `agency_id`: who asks, already known as a manager. Conflict for an e-mail that has a login or is a client
    already, InvalidInput for what the sign-in service does not take, AuthUnavailable while it is away,
    LinkPending where the login was made and the link was not.
    """
    with AuthAdmin(settings) as logins:
        login = logins.ensure(email, password, agency_id)
    try:
        db.call(
            "messaging.add_client",
            p_agency_id=agency_id,
            p_client_id=login.user_id,
            p_client_email=email,
            p_client_label=client_label,
        )
    except DatabaseUnavailable:
        log.get().warning("clients.login_not_linked", client_id=str(login.user_id))
        raise LinkPending from None
    return login


def remove(db: Calls, settings: Settings, person_db: Calls, client_id: UUID) -> None:
    """Removes one's own client in one transaction (bug 31), then its number at the provider, now or by the
    duty. NotFound for a client of another agency as for one that never was."""
    ended = person_db.call("messaging.remove_client", p_client_id=client_id)
    if ended:
        with Connections(db, settings) as connections:
            connections.clear_away(ended)
