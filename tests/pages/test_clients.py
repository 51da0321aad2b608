"""Adding, renaming and removing a client on the pages."""

from tests.pages.office import Office
from tests.pages.test_agency import connected, titles
from tests.pages.visitor import Visitor

CLIENT = "Padaria Sol"
NEW = {"label": "Floricultura Ipê", "email": "contato@ipe.example", "password": "uma senha nova"}


def test_a_client_is_added_with_a_login(office: Office, visitor: Visitor) -> None:
    """The client stands among the others and may sign in, without being a manager."""
    answer = visitor.post("/clients/new", NEW)
    assert answer.headers["location"] == "/agency?notice=client_added"
    assert "Floricultura Ipê" in titles(visitor.get("/agency").text)

    visitor.post("/sign-out", on="/agency")
    signed_in = visitor.post("/sign-in", {"email": NEW["email"], "password": NEW["password"]})
    assert signed_in.status_code == 303
    assert visitor.get("/agency").status_code == 403


WRONG = (
    ({"label": ""}, "Informe o nome do cliente."),
    ({"label": "x" * 121}, "no máximo 120 caracteres"),
    ({"email": "contato"}, "Informe um e-mail"),
    ({"password": "curta"}, "pelo menos 8 caracteres"),
    ({"email": "marina@agencia.example"}, "já é de outra conta"),
)


def test_a_client_that_cannot_be_added__refused(visitor: Visitor) -> None:
    """What is wrong is said; the password is not sent back."""
    for changes, said in WRONG:
        answer = visitor.post("/clients/new", NEW | changes)
        assert (answer.status_code, said in answer.text) == (400, True), changes
        assert NEW["password"] not in answer.text
    assert len(titles(visitor.get("/agency").text)) == 8


def test_a_client_is_renamed(office: Office, visitor: Visitor) -> None:
    """Another name, with spaces around it cut."""
    visitor.post(office.path(CLIENT, "edit"), {"label": "  Padaria da Praça "})

    assert "Padaria da Praça" in titles(visitor.get("/agency").text)


def test_a_name_that_is_none__refused(office: Office, visitor: Visitor) -> None:
    """An empty name and one that is too long are asked for again."""
    for label, said in (("", "Informe o nome"), ("x" * 121, "no máximo 120")):
        answer = visitor.post(office.path(CLIENT, "edit"), {"label": label})
        assert (answer.status_code, said in answer.text) == (400, True)


def test_removing_needs_a_second_word__refused(office: Office, visitor: Visitor) -> None:
    """Without the ticked box nothing is removed."""
    answer = visitor.post(office.path(CLIENT, "remove"))

    assert (answer.status_code, "Marque a caixa" in answer.text) == (400, True)
    assert CLIENT in titles(visitor.get("/agency").text)


def test_bug_31_removing_a_client_removes_what_hangs_on_it(office: Office, visitor: Visitor) -> None:
    """The client, its number, its settings and its alerts are gone from every page."""
    connected(office, visitor, CLIENT)
    visitor.post(office.path(CLIENT, "report"), {"frequency": "manual", "period": "yesterday"})
    answer = visitor.post(office.path(CLIENT, "remove"), {"sure": "on"})

    assert answer.headers["location"] == "/agency?notice=client_removed"
    assert CLIENT not in titles(visitor.get("/connections").text)
    left = office.db.rows(
        "select (select count(*) from public.whatsapp_connections)"
        " + (select count(*) from public.whatsapp_report_settings) as left_over"
    )
    assert left[0]["left_over"] == 0
    assert visitor.get(office.path(CLIENT, "report")).status_code == 404
