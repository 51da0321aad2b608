"""GET /static/<name>.<hash>.<suffix>: the style sheet, the script and the icon, kept by browsers for ever."""

import falcon

from edge.pages.rendering import CONTENT_TYPES, file_hash, static_file, static_names

_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """One file of edge/static under the address that rendering.asset gives; any other name is a 404."""

    same_origin_only = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The bytes, or 304 where the browser has them."""
        stem, _, suffix = name.rpartition(".")
        plain, _, given_hash = stem.rpartition(".")
        file = f"{plain}.{suffix}"
        if file not in static_names() or given_hash != file_hash(file):
            raise falcon.HTTPRouteNotFound
        resp.etag = given_hash
        resp.set_headers({"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"})
        if any(tag == given_hash for tag in req.if_none_match or []):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = CONTENT_TYPES[f".{suffix}"]
        resp.data = static_file(file)
