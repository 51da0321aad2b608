"""TLS is verified by every client that we have, and nothing can switch that off (reliability S20)."""

import ast
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared import clock
from shared.ad_accounts import BalanceFailure, MetaAds
from shared.errors import DatabaseUnavailable
from shared.jwks import AuthUnavailable, KeySet
from shared.logins import AuthAdmin
from shared.media import Media, Rules
from shared.openai_agent import OpenAIAgent
from shared.providers.base import Content, Outcome
from shared.providers.evolution import EvolutionClient
from shared.providers.zapi import ZApiClient
from shared.rest import RestDatabase
from shared.settings import Settings
from shared.sign_in import SignIn

ROOT = Path(__file__).resolve().parents[2]
OURS = [file for room in ("edge", "shared", "scripts") for file in sorted((ROOT / room).rglob("*.py"))]
# Names that exist to switch verification off, or down.
FORBIDDEN = {"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context", "disable_warnings"}


class SelfSigned:
    """An HTTPS server that nobody vouches for: how many came, and how many went on after its certificate."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        _make_certificate(self.certificate, key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.came = self.trusted = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.came += 1
            plain.settimeout(5)
            with plain, suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
                if connection.recv(65536):
                    self.trusted += 1
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def _make_certificate(certificate: Path, key: Path) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[SelfSigned]:
    """The server, until the test ends."""
    made = SelfSigned(tmp_path)
    yield made
    made.close()


def soon() -> float:
    """A deadline."""
    return clock.monotonic() + 5


def settings_at(url: str) -> Settings:
    """Every service at this address."""
    return Settings(
        agent_url=url, auth_url=url, supabase_anon_key="anon", service_role_key="service", agent_timeout_s=5
    )


def _zapi(url: str) -> None:
    client = ZApiClient("I", "token", "client", base_url=url)
    report = client.send("5511987650001", Content("text", "oi"), deadline=soon())
    assert report.outcome is Outcome.NOT_SENT


def _evolution(url: str) -> None:
    client = EvolutionClient("adscape_x", "key", base_url=url)
    report = client.send("5511987650001", Content("text", "oi"), deadline=soon())
    assert report.outcome is Outcome.NOT_SENT


def _agent(url: str) -> None:
    assert OpenAIAgent(settings_at(url)).write("escreva", "caminhei", longest=10) is None


def _media(url: str) -> None:
    open_door = Rules(fault_of=lambda _: None, may_reach=lambda _: True)
    with pytest.raises(Exception, match="ConnectError"):
        Media(open_door).fetch(f"{url}/a.ogg", ends_at=soon())


def _meta(url: str) -> None:
    assert isinstance(MetaAds(url).balance("act_1", "token"), BalanceFailure)


def _rest(url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        RestDatabase(url, "service").call("messaging.clock")


def _sign_in(url: str) -> None:
    with pytest.raises(AuthUnavailable):
        SignIn(settings_at(url)).with_password("a@b.example", "password")


def _jwks(url: str) -> None:
    with pytest.raises(AuthUnavailable):
        KeySet(f"{url}/jwks.json").key("id", "ES256")


def _logins(url: str) -> None:
    with pytest.raises(AuthUnavailable):
        AuthAdmin(settings_at(url)).ensure("a@b.example", "password", UUID(int=1))


CLIENTS: dict[str, Callable[[str], None]] = {
    "Z-API": _zapi,
    "Evolution API": _evolution,
    "the agent": _agent,
    "media": _media,
    "Meta": _meta,
    "PostgREST": _rest,
    "signing in": _sign_in,
    "the keys of tokens": _jwks,
    "making logins": _logins,
}


@pytest.mark.scoreboard("S20", tier="commit")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_that_nobody_vouches_for_is_refused(
    client: str, impostor: SelfSigned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told to the server, a token least of all; and the environment does not vouch for it."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(impostor.certificate))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    CLIENTS[client](impostor.url)
    assert (impostor.came > 0, impostor.trusted) == (True, 0)


def test_the_server_serves_whoever_trusts_it(impostor: SelfSigned) -> None:
    """So that the refusals above say something."""
    context = ssl.create_default_context(cafile=str(impostor.certificate))
    assert httpx.get(impostor.url, verify=context).status_code == 200
    assert impostor.trusted == 1


@pytest.mark.scoreboard("S20", tier="commit")
def test_nothing_switches_verification_off() -> None:
    """No name that does, no `verify` but a context, no check_hostname, and no setting whose name says so."""
    faults = [
        f"{file.relative_to(ROOT)}:{line}" for file in OURS for line in switches(file.read_text("utf-8"))
    ]
    assert faults == []
    for field in Settings.__dataclass_fields__:
        assert not any(word in field for word in ("verify", "insecure", "tls", "ssl"))


@pytest.mark.parametrize(
    "code",
    [
        "httpx.Client(verify=False)",
        "httpx.get(url, verify=settings.verify)",
        "context.verify_mode = ssl.CERT_NONE",
        "context.check_hostname = False",
        "ssl._create_unverified_context()",
        "psycopg.connect('postgresql://h/d?sslmode=disable')",
    ],
)
def test_each_switch_would_be_seen(code: str) -> None:
    """The test above can fail."""
    assert switches(code) != []


def switches(code: str) -> list[int]:
    """The lines that would switch verification off."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if _switches(node):
            found.append(getattr(node, "lineno", 0))
    return found


def _switches(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword) and node.arg == "verify":
        # A context that was made by the one place that makes them.
        return not (isinstance(node.value, ast.Name) and node.value.id == "context")
    if isinstance(node, ast.Attribute):
        is_set = isinstance(node.ctx, ast.Store) and node.attr in ("check_hostname", "verify_mode")
        return is_set or node.attr in FORBIDDEN
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "sslmode=disable" in node.value or "sslmode=allow" in node.value
    return isinstance(node, ast.Name) and node.id in FORBIDDEN
