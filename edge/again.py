"""An event that meets a database which just goes away is handled again: nobody knows whether its provider
would repeat it (zapi contract 5.1), and a person's words would be lost with it."""

import threading

from edge.functions import Answer, Call, Handler
from shared import clock
from shared.errors import DatabaseUnavailable

# A restart takes a second or two; a provider waits about ten (zapi contract 8).
TRIED_FOR_S = 5.0
PAUSE_S = 0.2


def until_stored(handle: Handler, call: Call) -> Answer:
    """What `handle` answers, which a provider may call twice with one event; DatabaseUnavailable where the
    database stays away for longer than TRIED_FOR_S."""
    until = clock.monotonic() + TRIED_FOR_S
    pause = threading.Event()
    while True:
        try:
            return handle(call)
        except DatabaseUnavailable as error:
            if clock.monotonic() >= until:
                raise
            call.log.warning("event.again", why=str(error))
            pause.wait(PAUSE_S)
