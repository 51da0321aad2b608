"""The page "Envios incertos": what is known of each message, and a person's decision, recorded once."""

import itertools
import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from edge.pages.uncertain import SHOWN, entry_of
from shared.texts_pt import uncertain as words
from shared.unknowns import DECISIONS
from tests.edge.gateway import NO_AUTHORITIES
from tests.pages.hostile import hostile_texts, skeleton
from tests.pages.office import PASSWORD, Manager, Office, hire
from tests.pages.uncertain_world import Doubts, doubts_of
from tests.pages.visitor import Visitor

PAGE = "/uncertain"
CLIENT, OTHER = "Padaria Sol", "Clínica Bem Viver"
ADDRESSES = ("resend", "consider-sent", "drop")
_SINCE = re.compile(r'name="since" value="([^"]+)"')
SOURCES = ("receipt", "outgoing_event", "provider_queue", "provider_search", "silence", "late_answer")
SAYS = ("sent", "not_sent", "waiting", "nothing")


@pytest.fixture
def doubts(office: Office) -> Iterator[Doubts]:
    """A maker of uncertain messages."""
    with doubts_of(office) as doubts:
        yield doubts


@pytest.fixture
def rival(office: Office) -> Manager:
    """Another agency with one client."""
    return hire(
        office.database_url, office.auth, "rival@outra.example", clients=["Loja Rival"], agency="Rival"
    )


@pytest.fixture
def admin(office: Office) -> Iterator[Visitor]:
    """Somebody who runs the house, signed in."""
    account = office.auth.accounts.add("operacao@aura.example", PASSWORD)
    office.db.rows(
        "insert into public.user_roles (user_id, role) values (%(user)s, 'admin') returning 1",
        {"user": account.user_id},
    )
    with httpx.Client(base_url=office.address, verify=NO_AUTHORITIES, timeout=30) as http:
        visitor = Visitor(http)
        visitor.post("/sign-in", {"email": account.email, "password": PASSWORD})
        yield visitor


def decide(visitor: Visitor, message: int, address: str, *, why: str = "", since: str = "") -> httpx.Response:
    """As a person does: the question, then its form."""
    path = f"{PAGE}/{message}/{address}"
    found = _SINCE.search(visitor.get(path).text)
    fields = {"since": since or (found[1] if found else "2026-11-28T12:00:00+00:00"), "why": why}
    return visitor.post(path, fields, on=PAGE)


def told(visitor: Visitor, answer: httpx.Response) -> str:
    """The page after a decision."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{PAGE}?notice=uncertain_")
    return visitor.get(answer.headers["location"]).text


def test_a_message_is_told_with_all_that_is_known(visitor: Visitor, doubts: Doubts) -> None:
    """Who, what, to whom, from which number, since when, the text, the evidence in plain words, the warning
    of what a resend may do, and what happens by itself."""
    message = doubts.of_client(CLIENT)
    doubts.evidence(message, "provider_search", "nothing")
    doubts.evidence(message, "silence", "not_sent")
    text = visitor.get(PAGE).text

    for part in (
        CLIENT,
        "Relatório",
        "para …6655",
        "pelo número do cliente +55 11 98765-4300",
        "hoje, ",
        "Investimento: R$ 1.234,50",
        "O provedor procurou e não achou esta mensagem.",
        "Nenhum sinal em 15 minutos; o canal estava vivo.",
        "Provavelmente não saiu",
        "Envio incerto: o provedor não confirmou se a mensagem saiu. Reenviar pode duplicar.",
        "Nada é reenviado sem a sua decisão.",
        *words.BUTTONS.values(),
    ):
        assert part in text, part
    assert "ReadTimeout" not in text


def test_without_evidence_it_says_that_nobody_confirmed(visitor: Visitor, doubts: Doubts) -> None:
    """And which number spoke where the client has none; a long text is cut, and says so."""
    doubts.of_client(CLIENT, by="agency", text="x" * 400)
    text = visitor.get(PAGE).text

    assert f">{'x' * 280}…<" in text
    assert "O provedor ainda não confirmou." in text
    assert "pelo número da agência +55 11" in text
    assert "Sem confirmação" in text


def test_no_message_is_uncertain(visitor: Visitor) -> None:
    """The empty page says so, and the navigation counts nothing."""
    text = visitor.get(PAGE).text

    assert "Nenhum envio incerto" in text
    assert 'class="count"' not in text


@pytest.mark.parametrize(
    ("decision", "state", "said"),
    [
        ("resend", "queued", "A mensagem voltou para a fila"),
        ("consider_sent", "accepted", "A mensagem consta como enviada."),
        ("drop", "withdrawn", "A mensagem foi descartada."),
    ],
)
def test_a_decision_is_recorded(
    visitor: Visitor, doubts: Doubts, decision: str, state: str, said: str
) -> None:
    """Who is signed in decides, with a reason or without; the message leaves the page and its count."""
    address, by = decision.replace("_", "-"), doubts.office.manager.email
    first, second = doubts.of_client(CLIENT), doubts.of_client(OTHER)
    question = visitor.get(f"{PAGE}/{first}/{address}").text
    assert words.QUESTIONS[decision] in question
    assert words.CONSEQUENCES[decision] in question
    assert words.WARNING in question
    assert doubts.state(first) == "unknown"

    after = told(visitor, decide(visitor, first, address, why="Liguei: não chegou"))
    assert said in after
    assert (CLIENT in after, OTHER in after) == (False, True)
    assert ", 1 para decidir" in after
    told(visitor, decide(visitor, second, address))
    assert [doubts.state(each) for each in (first, second)] == [state, state]
    assert doubts.decisions() == [
        (first, decision, by, "Liguei: não chegou"),
        (second, decision, by, None),
    ]


def test_what_somebody_else_has_decided_is_said__refused(visitor: Visitor, doubts: Doubts) -> None:
    """A form that was opened before says so, whichever it is, and changes nothing; so does its question."""
    message = doubts.of_client(CLIENT)
    open_form = _SINCE.search(visitor.get(f"{PAGE}/{message}/resend").text)
    assert open_form is not None
    doubts.world.rows("select messaging.decide_unknown(%s, 'consider_sent', 'outra pessoa')", message)

    for address in ADDRESSES:
        late = decide(visitor, message, address, since=open_form[1])
        assert "já tinha sido decidida por outra pessoa, ou confirmada" in told(visitor, late)
        question = visitor.get(f"{PAGE}/{message}/{address}")
        assert question.headers["location"] == f"{PAGE}?notice=uncertain_settled"
    assert len(doubts.decisions()) == 1
    assert doubts.state(message) == "accepted"


def test_a_form_decides_of_the_doubt_that_it_showed__refused(visitor: Visitor, doubts: Doubts) -> None:
    """Sent again meanwhile and uncertain again: the form of the first time decides nothing more."""
    message = doubts.of_client(CLIENT)
    form = _SINCE.search(visitor.get(f"{PAGE}/{message}/resend").text)
    assert form is not None
    told(visitor, decide(visitor, message, "resend", since=form[1]))
    doubts.fail_again(message)

    again = decide(visitor, message, "resend", since=form[1])
    assert "Nada mudou." in told(visitor, again)
    assert (doubts.state(message), len(doubts.decisions())) == ("unknown", 1)


def test_what_waits_at_the_provider_is_not_resent__refused(visitor: Visitor, doubts: Doubts) -> None:
    """While the provider's queue still has it there is no such button, and a form that comes all the same
    is told why."""
    message = doubts.of_client(CLIENT)
    since = _SINCE.search(visitor.get(f"{PAGE}/{message}/resend").text)
    assert since is not None
    doubts.evidence(message, "provider_queue", "waiting")
    text = visitor.get(PAGE).text
    assert f"{PAGE}/{message}/resend" not in text
    assert words.WAITS_SO_NO_RESEND in text
    assert visitor.get(f"{PAGE}/{message}/resend").headers["location"].endswith("uncertain_waits")

    assert "ainda está na fila do provedor" in told(
        visitor, decide(visitor, message, "resend", since=since[1])
    )
    assert (doubts.state(message), doubts.decisions()) == ("unknown", [])
    assert "A mensagem foi descartada." in told(visitor, decide(visitor, message, "drop"))


def test_many_are_shown_in_part(visitor: Visitor, doubts: Doubts) -> None:
    """Those first that have waited longest; how many more there are is said, and counted beside the link."""
    messages = [doubts.of_client(CLIENT, text=f"Mensagem número {place}.") for place in range(SHOWN + 3)]
    text = visitor.get(PAGE).text

    shown = [int(each) for each in re.findall(r'id="mensagem-(\d+)"', text)]
    assert shown == messages[:SHOWN]
    assert "E mais 3, que aparecem aqui" in text
    assert f", {SHOWN + 3} para decidir" in text


def test_every_page_says_how_many(visitor: Visitor, doubts: Doubts) -> None:
    """The way to the page carries the count, wherever one is."""
    doubts.of_client(CLIENT)

    for path in ("/agency", "/connections", "/reports", "/notice", "/nowhere"):
        text = visitor.get(path, headers={"Accept": "text/html"}).text
        assert 'href="/uncertain"' in text and ", 1 para decidir" in text, path


@pytest.mark.scoreboard("S16", tier="commit")
def test_anothers_message_looks_like_one_that_never_was__refused(
    visitor: Visitor, doubts: Doubts, rival: Manager
) -> None:
    """The same 404, byte for byte, for another agency's message, the house's, an invented id and what is no
    id at all, whether one looks or decides; nothing is decided, nothing of them shown or counted."""
    theirs, house = doubts.of(rival, "Loja Rival", text="Segredo"), doubts.of_the_house(text="Segredo")
    assert "Segredo" not in visitor.get(PAGE).text
    token = visitor.token(PAGE)
    ids: tuple[object, ...] = (theirs, house, 9_999_999, "0", "x", "-1", "1e3", "9" * 30, f"{theirs}%20")
    fields = {"csrf": token, "since": "2026-11-28T12:00:00+00:00"}
    for address in (*ADDRESSES, "resend-all"):
        paths = [f"{PAGE}/{each}/{address}" for each in ids]
        looked = [visitor.get(path) for path in paths]
        decided = [visitor.http.post(path, data=fields) for path in paths]
        for answers in (looked, decided):
            assert {answer.status_code for answer in answers} == {404}, address
            assert len({answer.content for answer in answers}) == 1, address
    assert doubts.decisions() == []
    assert [doubts.state(each) for each in (theirs, house)] == ["unknown", "unknown"]
    assert "para decidir" not in visitor.get("/agency").text


def test_an_admin_decides_of_the_houses_too(admin: Visitor, doubts: Doubts) -> None:
    """Who runs the house sees its messages, by the person's name or the phone's end, and no agency's."""
    doubts.of_client(CLIENT)
    named, nameless = doubts.of_the_house(purpose="welcome"), doubts.of_the_house(None, text="Olá")
    text = admin.get(PAGE).text

    assert CLIENT not in text
    for part in ("Ana Souza", "Telefone …6655", "Boas-vindas", "pelo número Aura #1", "Da casa"):
        assert part in text, part
    told(admin, decide(admin, named, "consider-sent"))
    told(admin, decide(admin, nameless, "drop"))
    assert [row[1:3] for row in doubts.decisions()] == [
        ("consider_sent", "operacao@aura.example"),
        ("drop", "operacao@aura.example"),
    ]


def test_who_is_no_manager_sees_none__refused(office: Office, stranger: Visitor, doubts: Doubts) -> None:
    """A client's login reads whose area this is, and counts nothing; a stranger is led to the sign-in."""
    message = doubts.of_client(CLIENT)
    assert stranger.get(PAGE).headers["location"] == "/sign-in?next=/uncertain"
    office.auth.accounts.add("cliente@padaria.example", PASSWORD)
    stranger.post("/sign-in", {"email": "cliente@padaria.example", "password": PASSWORD})
    for path in (PAGE, f"{PAGE}/{message}/resend"):
        answer = stranger.get(path)
        assert (answer.status_code, "Esta área é dos gestores" in answer.text) == (403, True)
        assert "para decidir" not in answer.text
    answer = stranger.post(f"{PAGE}/{message}/drop", {"since": "2026-11-28T12:00:00+00:00"}, on="/notice")
    assert (answer.status_code, doubts.decisions()) == (403, [])


def test_a_form_that_was_tampered_with__refused(visitor: Visitor, doubts: Doubts) -> None:
    """No time, no sensible time, or an endless reason: 400, and nothing is decided."""
    message = doubts.of_client(CLIENT)
    path = f"{PAGE}/{message}/drop"
    for fields in ({}, {"since": "ontem"}, {"since": "2026-11-28T12:00:00+00:00", "why": "x" * 201}):
        assert visitor.post(path, fields, on=PAGE).status_code == 400, fields
    assert doubts.decisions() == []


def test_every_purpose_and_all_evidence_has_words(office: Office) -> None:
    """Each purpose that the database knows, and each source with all that it may say."""
    for row in office.db.rows("select purpose from messaging.purposes"):
        assert row["purpose"] in words.PURPOSES or row["purpose"].startswith("session_"), row
    for source, says in itertools.product(SOURCES, SAYS):
        assert words.KNOWN.get((source, says), words.OTHERWISE[says])
    assert set(words.BUTTONS) == set(words.QUESTIONS) == set(words.CONSEQUENCES) == set(DECISIONS)
    assert entry_of.__doc__


@pytest.mark.scoreboard("S14", tier="commit")
def test_hostile_texts_add_no_element(visitor: Visitor, doubts: Doubts, admin: Visitor) -> None:
    """What messages say, whom they are for, a person's name from WhatsApp, and the name of a number are text
    on the list and in the question."""
    messages = [doubts.of_client(CLIENT) for _ in range(10)]
    houses = [doubts.of_the_house() for _ in range(4)]
    paths = (PAGE, f"{PAGE}/{messages[0]}/resend")
    house_paths = (PAGE, f"{PAGE}/{houses[0]}/drop")

    def made_of() -> list[list[str]]:
        pages = [visitor.get(path) for path in paths] + [admin.get(path) for path in house_paths]
        assert {page.status_code for page in pages} == {200}
        return [skeleton(page.text) for page in pages]

    def call_all(names: list[str]) -> None:
        # As many in one text as are shown of it.
        chunks = [" ".join(names[place::14]) for place in range(14)]
        for message, text in zip(messages + houses, chunks, strict=True):
            doubts.world.rows(
                "update messaging.outbox set content = jsonb_build_object('kind', 'text', 'text', %s::text)"
                " where id = %s",
                text,
                message,
            )
        for statement in (
            "update public.client_manager_links set client_label = %s",
            "update public.profiles set name = %s",
            "update public.whatsapp_instances set name = %s || id",
        ):
            doubts.world.rows(statement, " ".join(names))

    call_all(["Nome"] * 14)
    harmless = made_of()
    texts = hostile_texts()
    for begin in range(0, len(texts), 14 * 7):
        call_all((texts + texts)[begin : begin + 14 * 7])
        assert made_of() == harmless, begin


def test_nobody_is_asked_for_an_invented_message(visitor: Visitor) -> None:
    """A question about no message is a page in Portuguese."""
    answer = visitor.get(f"{PAGE}/{uuid4().int % 10**15}/drop")

    assert (answer.status_code, "Página não encontrada" in answer.text) == (404, True)
