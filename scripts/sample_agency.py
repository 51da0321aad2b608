"""The sample's agency: its manager, eight clients and their figures, all invented. Not who serves them."""

import datetime
import json
import random
import uuid

import psycopg

from shared.credentials import KeyRing, of_oauth
from shared.db_errors import translated

Connection = psycopg.Connection[tuple[object, ...]]

MANAGER = uuid.UUID("a9e0c1a0-5a3d-4e1c-9b1a-6f0d4c2b7e11")
MANAGER_EMAIL = "gestora@exemplo.com.br"
AGENCY_NAME = "Agência Horizonte"
DAYS_OF_FIGURES = 75
# Label, e-mail, daily spend in R$, revenue per real spent. The phones' range belongs to nobody.
CLIENTS = (
    ("Padaria Pão Quente", "contato@paoquente.exemplo.com.br", 80, 3.1),
    ("Clínica Sorriso", "agenda@sorriso.exemplo.com.br", 220, 2.4),
    ("Pet Shop Amigo Fiel", "oi@amigofiel.exemplo.com.br", 60, 1.7),
    ("Academia Corpo & Mente", "recepcao@corpoemente.exemplo.com.br", 150, 0.8),
    ("Ótica Boa Vista", "loja@boavista.exemplo.com.br", 110, 2.0),
    ("Floricultura Primavera", "flores@primavera.exemplo.com.br", 45, 3.6),
    ("Escola de Idiomas Ponte", "matriculas@ponte.exemplo.com.br", 190, 1.3),
    ("Imobiliária Horto", "corretores@horto.exemplo.com.br", 400, 0.0),
)

# What the ad platform says each account still holds, in cents; three are below their alerts' threshold.
BALANCES = {f"act_{1000 + index}": 9_000 + 14_500 * index % 61_000 for index in range(len(CLIENTS))}
THRESHOLD = 150


def client_id(index: int) -> uuid.UUID:
    """The same for a client in every run."""
    return uuid.uuid5(MANAGER, f"client {index}")


def found(url: str, today: datetime.date, *, ad_platform_token: str, ring: KeyRing) -> None:
    """Writes what of the agency is missing, figures up to yesterday too; what a manager changed stays.

    `ad_platform_token`: the one that the ad platform of this run takes; `ring` seals it.
    """
    with translated("founding the sample agency"), psycopg.connect(url) as connection:
        connection.execute(
            "insert into public.user_roles (user_id, role) values (%s, 'manager') on conflict do nothing",
            [MANAGER],
        )
        is_new = connection.execute(
            "insert into public.agency_settings (agency_id, agency_name) values (%s, %s)"
            " on conflict do nothing returning true",
            [MANAGER, AGENCY_NAME],
        ).fetchone()
        connection.execute(
            "insert into public.oauth_connections (manager_id, provider, access_token)"
            " values (%s, 'meta_ads', %s)"
            " on conflict (manager_id, provider) do update set access_token = excluded.access_token",
            [MANAGER, ring.seal(ad_platform_token, of_oauth(MANAGER, "meta_ads"))],
        )
        for index, (label, email, spend, roas) in enumerate(CLIENTS):
            if is_new:
                _found_client(connection, index, label, email)
            _write_figures(connection, client_id(index), today, spend, roas)
        # The simulator of Evolution API is new: no phone is paired with it, whatever an earlier run had.
        connection.execute(
            "select messaging.record_health(i.id, false, null, 'roleta up')"
            " from public.whatsapp_instances as i where i.agency_id = %s and i.status = 'active'",
            [MANAGER],
        )


def _found_client(connection: Connection, index: int, label: str, email: str) -> None:
    client = client_id(index)
    connection.execute(
        "insert into public.client_manager_links"
        " (client_user_id, manager_id, client_label, client_email, is_demo)"
        " values (%s, %s, %s, %s, true)",
        [client, MANAGER, label, email],
    )
    connection.execute(
        "insert into public.whatsapp_report_settings"
        " (agency_id, client_id, metrics, frequency, weekday, send_time, phone_number, is_active)"
        " values (%s, %s, %s, %s, 1, '09:00', %s, %s)",
        [
            MANAGER,
            client,
            json.dumps({"investment": True, "revenue": True, "roas": True, "conversions": True, "ctr": True}),
            ("daily", "weekly", "monthly", "manual")[index % 4],
            f"55119000{index:05d}",
            index % 4 != 3,
        ],
    )
    connection.execute(
        "insert into public.client_ad_accounts (client_id, ad_account_id, account_name) values (%s, %s, %s)",
        [client, f"act_{1000 + index}", f"{label} – Meta Ads"],
    )
    connection.execute(
        "insert into public.account_balance_alerts"
        " (agency_id, client_id, ad_account_id, threshold_value, is_active, recipient_phone)"
        " values (%s, %s, %s, %s, %s, %s)",
        [MANAGER, client, f"act_{1000 + index}", THRESHOLD, index % 2 == 0, f"55119000{index:05d}"],
    )


def _write_figures(
    connection: Connection,
    client: uuid.UUID,
    today: datetime.date,
    spend: float,
    roas: float,
) -> None:
    rows = []
    for back in range(1, DAYS_OF_FIGURES + 1):
        day = today - datetime.timedelta(days=back)
        dice = random.Random(f"{client} {day}")  # noqa: S311 - invented figures, the same in every run
        spent = round(spend * dice.uniform(0.7, 1.3), 2)
        clicks = int(spent * dice.uniform(0.8, 1.6))
        conversions = int(clicks * dice.uniform(0.02, 0.06))
        rows.append(
            (client, day, spent, round(spent * roas * dice.uniform(0.6, 1.4), 2), clicks, clicks * 40,
             conversions, conversions * 2, conversions * 3)
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into public.daily_metrics"
            " (client_id, date, spend, revenue, clicks, impressions, conversions, leads, messages)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            rows,
        )
