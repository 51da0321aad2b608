"""A code as a picture to scan. Whoever sees it may pair a phone, so the picture is a credential too."""

import segno

MODULE_PX = 5
# The quiet zone that readers ask for around it, in modules.
BORDER = 4


def picture(code: str) -> str:
    """The code as the data URI of a PNG, black on white.

    Drawn by us, so that no picture of a provider's choosing is ever shown to somebody with a phone.
    """
    drawn = segno.make(code, micro=False, error="l")
    return str(drawn.png_data_uri(scale=MODULE_PX, border=BORDER))
