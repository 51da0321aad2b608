"""Forms as they come: decoded within limits, and only those of our own pages, in the session they were made
for. What a field means is each page's matter."""

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, urlsplit

import falcon

from shared.errors import InvalidInput, RoletaError
from shared.webhook_auth import same_secret

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 500
_FORM = "application/x-www-form-urlencoded"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class FormRefused(RoletaError):
    """This form does not come from this page in this session."""


class BadField(InvalidInput):
    """What was filled in cannot be taken; the message says why, in Portuguese, to whoever filled it in."""


class Form:
    """The fields of a form, each as it came; a name that is missing is empty."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def text(self, name: str, *, longest: int = 200) -> str:
        """The last value of a name without spaces around it; BadField above `longest` characters."""
        value = self.as_typed(name).strip()
        if len(value) > longest:
            raise BadField(f"Este campo aceita no máximo {longest} caracteres.")
        return value

    def as_typed(self, name: str) -> str:
        """The last value of a name with its spaces: a password's belong to it."""
        return next((value for key, value in reversed(self._fields) if key == name), "")

    def checked(self, name: str) -> bool:
        """Whether a box of this name is ticked."""
        return self.as_typed(name) != ""

    def every(self, name: str) -> list[str]:
        """All values of a name, in order."""
        return [value.strip() for key, value in self._fields if key == name]


def form_token(form_key: str, person_id: object) -> str:
    """What every form of a session carries: nobody without the session's cookie can make it."""
    return hmac.new(form_key.encode(), f"form {person_id}".encode(), hashlib.sha256).hexdigest()


def read_form(req: falcon.Request, expected_token: str) -> Form:
    """The form of a request (require_own_page has let it pass). FormRefused without the session's token."""
    form = parse_form(req.content_type, req.context.body)
    if not same_secret(expected_token, form.text("csrf")):
        raise FormRefused
    return form


def parse_form(content_type: str | None, body: bytes) -> Form:
    """URL-encoded fields; BadField for anything else, and for more than the limits."""
    if (content_type or "").partition(";")[0].strip().lower() != _FORM or len(body) > MAX_FORM_BYTES:
        raise BadField("Esta página só aceita os próprios formulários.")
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadField("O formulário não veio inteiro. Atualize a página e tente de novo.") from None
    if any(_UNSTORABLE.search(text) for field in fields for text in field):
        raise BadField("O formulário contém caracteres que não podem ser guardados.")
    return Form(fields)


def require_own_page(req: falcon.Request, public_base_url: str | None) -> None:
    """FormRefused where the browser says that another site, or another origin of this one, caused this.

    Both of what a browser says must fit: Sec-Fetch-Site, and Origin. Where it says neither, the form's token
    alone decides. `public_base_url`: how the gateway is reached from outside, where Host may say otherwise.
    """
    if req.get_header("sec-fetch-site") not in (None, "same-origin", "none"):
        raise FormRefused
    origin = req.get_header("origin")
    if origin is not None and origin.lower() not in _own_origins(req, public_base_url):
        raise FormRefused


def _own_origins(req: falcon.Request, public_base_url: str | None) -> set[str]:
    host, public = req.get_header("host", default="").lower(), urlsplit(public_base_url or "")
    # TLS may end at a proxy of which nobody told us.
    origins = {f"{req.scheme}://{host}", f"https://{host}"}
    if public.netloc:
        origins.add(f"{public.scheme}://{public.netloc}".lower())
    if public.scheme == "https":
        # Where the pages are known to be on https, who listens on the wire must not send their forms.
        origins.discard(f"http://{public.netloc}".lower())
    return origins
