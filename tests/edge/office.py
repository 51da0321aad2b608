"""An agency's manager, signed in, at a gateway that serves manage-clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from scripts.local_auth import LocalAuth
from shared.db import Database
from shared.settings import Settings
from tests.agency import Agency, found_agency
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, serving

PASSWORD = "a good password"


@dataclass(frozen=True)
class Office:
    """An agency whose manager is signed in, and a gateway to ask."""

    http: httpx.Client
    auth: LocalAuth
    agency: Agency
    token: str

    def ask(self, action: object, **fields: Any) -> httpx.Response:
        """One POST by the manager."""
        return self.http.post(
            f"{FUNCTIONS}/manage-clients",
            json={"action": action, **fields},
            headers={"authorization": f"Bearer {self.token}"},
        )

    def create(self, email: str = "cliente@example.com", **fields: Any) -> httpx.Response:
        """A new client."""
        return self.ask("create", **{"email": email, "password": PASSWORD} | fields)

    def labels(self) -> list[str]:
        """The clients as listed."""
        return [each["client_label"] for each in self.ask("list").json()["clients"]]

    def as_another(self) -> "Office":
        """Another agency's manager at the same gateway."""
        return office_of(self.http, self.auth, found_agency(self.agency.db, clients=1))


def office_of(http: httpx.Client, auth: LocalAuth, agency: Agency) -> Office:
    """Signs the agency's manager in."""
    email = f"{agency.manager}@example.com"
    auth.accounts.add(email, PASSWORD, agency.manager)
    return Office(http, auth, agency, auth.accounts.sign_in(email, PASSWORD)["access_token"])


@contextmanager
def local_auth() -> Iterator[LocalAuth]:
    """The local sign-in, whose accounts the service key may add to."""
    with LocalAuth(anon_key="anon", service_key=SERVICE_KEY) as running:
        yield running


def settings_of(auth: LocalAuth) -> Settings:
    """Settings that lead to it."""
    return Settings(auth_url=auth.url, supabase_anon_key="anon", service_role_key=SERVICE_KEY)


@contextmanager
def open_office(db: Database, auth: LocalAuth, settings: Settings | None = None) -> Iterator[Office]:
    """A gateway, and the manager of a new agency with two clients."""
    with serving(db, settings or settings_of(auth)) as client:
        yield office_of(client, auth, found_agency(db))
