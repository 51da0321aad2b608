"""GET /healthz: whether this gateway can do its work, that is, whether its database answers."""

import falcon

from shared.db import Calls


class Health:
    """200 {"status": "ok"}, or 503 with Retry-After while the database is away."""

    def __init__(self, db: Calls) -> None:
        self._db = db

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        self._db.call("messaging.clock")
        resp.media = {"status": "ok"}
