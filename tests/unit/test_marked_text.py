"""How a message's text is shown on a page: WhatsApp's marks, and nothing else, become elements."""

import pytest

from edge.pages.rendering import marked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*Olá*, _Ana_", "<strong>Olá</strong>, <em>Ana</em>"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("*<b>*", "<strong>&lt;b&gt;</strong>"),
        ('_" onload="x_', "<em>&#34; onload=&#34;x</em>"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_a_message_s_marks_let_nothing_else_through(text: str, shown: str) -> None:
    """Whatever a person or a provider wrote adds no element but these two."""
    assert str(marked(text)) == shown
