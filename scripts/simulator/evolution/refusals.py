"""The five forms in which Evolution refuses (evolution contract 2). Who refuses what is elsewhere."""

from typing import Any

from scripts.simulator.http_server import Answer

_NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
# As a driver of the real database speaks: many lines, with an excerpt of the source and its path.
_DATABASE = """
Invalid `this.prismaRepository.{call}()` invocation in
/evolution/src/api/{place}

  {line} try {{
→ {next} await this.prismaRepository.{call}(
{reason}"""


class Refusal(Exception):
    """Ends a request; `answer` is what the caller gets."""

    def __init__(self, http_status: int, message: Any) -> None:
        """`message` as it stands in the body: a list, a text, or None for `{}`."""
        super().__init__(http_status, message)
        self.http_status, self.message = http_status, message

    @property
    def answer(self) -> Answer:
        """The refusal as HTTP."""
        if self.message is None:
            return Answer(self.http_status, {})
        name = _NAMES.get(self.http_status, "Internal Server Error")
        return Answer(self.http_status, envelope(self.http_status, name, self.message))


def envelope(http_status: int, name: str, message: Any) -> dict[str, Any]:
    """The body of nearly every error."""
    return {"status": http_status, "error": name, "response": {"message": message}}


def bad_request(text: str) -> Refusal:
    """A business rule: a list of one text."""
    return Refusal(400, [text])


def invalid(texts: list[str]) -> Refusal:
    """JSON-schema validation: a list in a list."""
    return Refusal(400, [texts])


def unauthorized() -> Refusal:
    """A plain text."""
    return Refusal(401, "Unauthorized")


def unknown_instance(name: str) -> Refusal:
    """The gate of every route with a name in its path."""
    return Refusal(404, [f'The "{name}" instance does not exist'])


def unexpected(text: str) -> Refusal:
    """An exception nobody caught: 500 with a plain text."""
    return Refusal(500, text)


def reading_of_undefined(property_name: str) -> str:
    """What that exception says most often."""
    return f"Cannot read properties of undefined (reading '{property_name}')"


def no_json(body: bytes, position: int, text: str) -> Answer:
    """A body that does not parse: status 400 with the name of 500."""
    said = "Unexpected end of JSON input"
    if position < len(text):
        said = f"Unexpected token {text[position]} in JSON at position {position}"
    return Answer(400, envelope(400, "Internal Server Error", said))


def database_text(call: str, place: str, line: int, reason: str) -> str:
    """What the database layer throws."""
    return _DATABASE.format(call=call, place=place, line=line, next=line + 1, reason=reason)


def no_licence(base_url: str) -> Answer:
    """2.4 before its activation: 503 on every business route (contract 2, S)."""
    fields = {
        "error": "service not activated",
        "code": "LICENSE_REQUIRED",
        "register_url": f"{base_url}/manager/register",
        "instance_id": "00000000-0000-4000-8000-000000000000",
        "docs_url": "https://doc.evolution-api.com",
        "message": "Activate this installation before using it.",
    }
    return Answer(503, fields)
