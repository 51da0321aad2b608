"""Which address is which page. attach() adds them all to the gateway."""

import weakref
from collections.abc import Iterable

import falcon

from edge.errors import ErrorAnswers
from edge.pages.accounts import Accounts
from edge.pages.agency import Agency, AgencyStatus, Home
from edge.pages.alerts import Alerts
from edge.pages.clients import EditClient, NewClient, RemoveClient
from edge.pages.connections import ConnectionsPage, Notice
from edge.pages.page import NoSuchPage, Page
from edge.pages.pairing import Connect, ConnectState, Disconnect
from edge.pages.rendering import Templates
from edge.pages.reports import Deliveries, DeliveryStates, Report, ReportPreview, SendNow
from edge.pages.session import Sessions
from edge.pages.sign_in import SignInPage, SignOut
from edge.pages.static_files import StaticFiles
from edge.pages.uncertain import Decide, UncertainPage
from edge.pages.visit import Site
from shared.connections import Connections
from shared.db import Calls
from shared.identity import Verifier
from shared.settings import Settings
from shared.sign_in import SignIn

_CLIENT = "/clients/{client_id}"
ROUTES: tuple[tuple[str, type[Page]], ...] = (
    ("/", Home),
    ("/sign-in", SignInPage),
    ("/sign-out", SignOut),
    ("/notice", Notice),
    ("/agency", Agency),
    ("/agency/status.json", AgencyStatus),
    ("/agency/connect", Connect),
    ("/agency/connect.json", ConnectState),
    ("/agency/disconnect", Disconnect),
    ("/connections", ConnectionsPage),
    ("/reports", Deliveries),
    ("/reports.json", DeliveryStates),
    ("/uncertain", UncertainPage),
    ("/uncertain/{message_id}/{decision}", Decide),
    ("/clients/new", NewClient),
    (f"{_CLIENT}/edit", EditClient),
    (f"{_CLIENT}/remove", RemoveClient),
    (f"{_CLIENT}/connect", Connect),
    (f"{_CLIENT}/connect.json", ConnectState),
    (f"{_CLIENT}/disconnect", Disconnect),
    (f"{_CLIENT}/report", Report),
    (f"{_CLIENT}/report/preview", ReportPreview),
    (f"{_CLIENT}/report/send", SendNow),
    (f"{_CLIENT}/alerts", Alerts),
    (f"{_CLIENT}/accounts", Accounts),
)


def attach(
    app: "falcon.App[falcon.Request, falcon.Response]",
    db: Calls,
    settings: Settings,
    errors: ErrorAnswers,
    verifier: Verifier,
) -> None:
    """Adds the pages and their files. Without an auth service only /sign-in speaks: of what is missing."""
    sign_in = SignIn(settings)
    secure = (settings.public_base_url or "").startswith("https://")
    site = Site(
        db=db,
        settings=settings,
        templates=Templates(settings.time_zone),
        errors=errors,
        sessions=Sessions(verifier, sign_in, secure=secure) if sign_in.is_configured else None,
        sign_in=sign_in,
        connections=Connections(db, settings),
    )
    for path, page in ROUTES:
        app.add_route(path, page(site))
    app.add_route("/static/{name}", StaticFiles())
    # An app has no end of its own; what it opened ends with its pages.
    weakref.finalize(site, _close, (sign_in, site.connections, verifier))
    app.add_sink(NoSuchPage(site).sink, "/(?!functions/)")


def _close(clients: Iterable[SignIn | Connections | Verifier]) -> None:
    for client in clients:
        client.close()
