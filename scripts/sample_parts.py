"""What the sample run has beside its Z-API numbers: an agency with Evolution API, an ad platform, a sign-in.

All are simulated here, and only ever started beside a database server that this very process started.
"""

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from scripts import sample_agency
from scripts.local_auth import LocalAuth
from scripts.simulator.ad_platform import AdPlatformSimulator
from shared import clock
from shared.credentials import KeyRing

ANON_KEY = "local"


@dataclass(frozen=True)
class SampleAgency:
    """Where the agency's services are, and how its manager signs in. The password is of this run."""

    evolution_url: str
    evolution_key: str = field(repr=False)
    auth_url: str
    ad_platform_url: str
    service_key: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What gateway and worker must know of it."""
        return {
            "EVOLUTION_API_URL": self.evolution_url,
            "EVOLUTION_API_KEY": self.evolution_key,
            "ROLETA_AUTH_URL": self.auth_url,
            "SUPABASE_ANON_KEY": ANON_KEY,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_key,
            "META_GRAPH_URL": self.ad_platform_url,
        }


def start_sample_agency(
    database_url: str,
    start_simulator: Callable[[str], str],
    stack: ExitStack,
    *,
    service_key: str | None,
    ring: KeyRing,
) -> SampleAgency:
    """Founds the agency and opens its sign-in. `start_simulator(key)` gives the address of Evolution API."""
    platform = stack.enter_context(AdPlatformSimulator())
    platform.balances.update(sample_agency.BALANCES)
    sample_agency.found(database_url, clock.now().date(), ad_platform_token=platform.token, ring=ring)
    evolution_key, password = secrets.token_urlsafe(24), secrets.token_urlsafe(9)
    service_key = service_key or secrets.token_urlsafe(32)
    evolution_url = start_simulator(evolution_key)
    auth = stack.enter_context(LocalAuth(anon_key=ANON_KEY, service_key=service_key))
    auth.accounts.add(sample_agency.MANAGER_EMAIL, password, sample_agency.MANAGER)
    return SampleAgency(evolution_url, evolution_key, auth.url, platform.url, service_key, password)
