"""An adopted project's credentials: plain until they are encrypted, in columns that are not ours to judge."""

from pathlib import Path
from typing import LiteralString
from uuid import UUID

import pytest

from scripts.migrate import apply_all, rollback
from shared import instances, sealing
from shared.db import Database
from tests.dump import found_in, pg_dump
from tests.keys import KEYS, RING
from tests.migration.projects import Project, silent
from tests.scripts.roleta import Roleta

AURA = UUID("00000000-0000-4000-8000-000000000001")
OAUTH: LiteralString = """
    create type ad_platform as enum ('google_ads', 'meta_ads');
    create table public.oauth_connections (
        id bigint generated always as identity primary key,
        manager_id uuid not null, provider ad_platform not null,
        access_token text, refresh_token text, connected boolean not null default true
    );
    insert into public.oauth_connections (manager_id, provider, access_token, refresh_token)
    values
    ('a0000000-0000-4000-8000-000000000001', 'meta_ads', 'access-canary', 'refresh-canary'),
    ('a0000000-0000-4000-8000-000000000001', 'meta_ads', 'access-canary-2', 'refresh-canary-2'),
    ('a0000000-0000-4000-8000-000000000002', 'google_ads', '', null)
"""


@pytest.fixture
def adopted(adopted_project: Project) -> Project:
    """A project with numbers and ad platforms, an agency's twice, migrated by its plain owner."""
    with adopted_project.connect() as connection:
        connection.execute(OAUTH)
    apply_all(adopted_project.url, silent)
    return adopted_project


def command(found: Project, home: Path) -> Roleta:
    """`roleta` as its owner."""
    return Roleta(home, DATABASE_URL=found.url, ROLETA_CREDENTIALS_KEYS=KEYS)


@pytest.mark.scoreboard("S10", tier="landing")
def test_an_adopted_project_is_encrypted_once(adopted: Project, tmp_path: Path) -> None:
    """Numbers and ad tokens, refresh tokens included, also where its rows are not as ours would be; a second
    run changes nothing; the numbers go on sending with what they had."""
    roleta = command(adopted, tmp_path)
    said = roleta.well("encrypt-credentials", "--yes")

    assert "10 credentials sealed" in said
    dump = pg_dump(adopted.superuser_url)
    assert found_in(dump, {"access": "access-canary", "refresh": "refresh-canary"}) == []
    assert [word for word in ("token-1", "token-2", "token-3") if word in dump] == []
    with Database(adopted.url) as db:
        assert instances.credentials(db, AURA, RING) == instances.Credentials("A1", "token-1", "client")
        assert sealing.plain(db) == 0
    assert "nothing to encrypt" in roleta.well("encrypt-credentials", "--yes")
    assert (
        pg_dump(adopted.superuser_url).count("enc:v1:of-the-tests:")
        == dump.count("enc:v1:of-the-tests:")
        == 10
    )


def test_a_column_that_is_too_narrow_is_told_and_left(adopted: Project, tmp_path: Path) -> None:
    """A sealed value would be cut off there: the line says what to change, the rest is sealed."""
    with adopted.connect() as connection:
        connection.execute("alter table public.oauth_connections alter column refresh_token type varchar(30)")
    said = command(adopted, tmp_path).well("encrypt-credentials", "--yes")

    assert "8 credentials sealed" in said
    assert "public.oauth_connections.refresh_token is too narrow" in said
    assert "refresh-canary-2" in pg_dump(adopted.superuser_url)


def test_rolling_back_keeps_what_is_sealed(adopted: Project, tmp_path: Path) -> None:
    """A rollback takes the functions, not the seals; migrated again, the ring opens them."""
    command(adopted, tmp_path).well("encrypt-credentials", "--yes")
    before = adopted.data()["whatsapp_instances"]
    rollback(adopted.url, "0061", discard_data=False, say=silent)
    assert adopted.data()["whatsapp_instances"] == before
    apply_all(adopted.url, silent)
    with Database(adopted.url) as db:
        assert instances.credentials(db, AURA, RING).zapi_token == "token-1"
