"""A code becomes a picture that a phone can read, drawn here."""

import base64
import struct

from shared import qr

CODE = "2@" + "Ab3/+" * 30 + "," + "k" * 44 + "=," + "k" * 44 + "=," + "s" * 44 + "="


def pixels(picture: str) -> tuple[int, int]:
    """Width and height of the PNG in a data URI."""
    head, _, data = picture.partition(",")
    assert head == "data:image/png;base64"
    png = base64.b64decode(data, validate=True)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_picture_is_a_square_png_large_enough_to_scan() -> None:
    """With the quiet zone that readers ask for; a code as long as WhatsApp's fits."""
    width, height = pixels(qr.picture(CODE))
    assert width == height
    modules = width / qr.MODULE_PX - 2 * qr.BORDER
    # A QR symbol has 21 modules a side, or 4 more for each version (ISO 18004).
    assert modules >= 45 and (modules - 21) % 4 == 0
    assert width >= 250


def test_picture_depends_on_the_code_alone() -> None:
    """The same code is the same picture, another one another: nothing of a provider's picture is in it."""
    assert qr.picture(CODE) == qr.picture(CODE) != qr.picture(CODE + "x")
