"""QR and phone codes (zapi contract 4.2): what is needed to build a pairing page against; a person "scans"
by the control interface's `connect`."""

import base64
import hashlib
import struct
import time
import zlib
from typing import Any

from scripts.simulator import account
from scripts.simulator.http_server import Answer
from scripts.simulator.instances import Instance
from scripts.simulator.world import World

ROTATION_S = 20  # WhatsApp invalidates a code after this long
_SIDE, _SCALE = 16, 8


def qr_code(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    """/qr-code gives the raw content, /qr-code/image a data URI, both inside JSON. A connected number gets
    none."""
    if rest not in ([], ["image"]):
        return account.no_route(world)
    if instance.connected:
        return Answer(payload={"connected": True})
    content = f"2@SIMULATED,{instance.id[-6:]},{int(time.time() // ROTATION_S)}"
    return Answer(payload={"value": _picture(content) if rest else content})


def phone_code(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    """/phone-code/{phone}, in the documented shape or in the one that public clients read."""
    if instance.connected:
        return Answer(payload={"connected": True})
    digest = (
        hashlib.sha256(f"{instance.id}{rest}{int(time.time() // ROTATION_S)}".encode()).hexdigest().upper()
    )
    return Answer(payload={world.options.phone_code_shape: f"{digest[:4]}-{digest[4:8]}"})


def _picture(content: str) -> str:
    """A valid PNG of a pattern that changes with the content. No camera reads it: there is nothing to pair
    with."""
    bits = int.from_bytes(hashlib.sha256(content.encode()).digest())
    rows = []
    for y in range(_SIDE):
        row = bytes(255 * (bits >> (y * _SIDE + x) & 1) for x in range(_SIDE) for _ in range(_SCALE))
        rows += [b"\x00" + row] * _SCALE
    size = _SIDE * _SCALE
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, value) for name, value in chunks)
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _chunk(name: bytes, value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
