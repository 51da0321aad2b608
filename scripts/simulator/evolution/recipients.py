"""Who a number is: from digits to a JID, the look-up, and the cache that skips it (evolution contract 5)."""

import re
from dataclasses import dataclass

from scripts.simulator.evolution.refusals import Refusal, bad_request, reading_of_undefined, unexpected
from scripts.simulator.evolution.rows import Channel
from scripts.simulator.evolution.world import World

_WHOLE = ("@g.us", "@s.whatsapp.net", "@lid", "@broadcast")
_PERSON = "@s.whatsapp.net"
_UNTHROWN = "[object Object]"  # an object that was thrown, turned to text


@dataclass(frozen=True)
class Found:
    """One look-up; `number` as it was asked."""

    jid: str
    exists: bool
    number: str


def jid_of(number: str) -> str:
    """The JID before any look-up. Mexico and Argentina lose their third digit, Brazil may lose its ninth."""
    if any(mark in number for mark in _WHOLE):
        return number
    if "-" in number and len(number) >= 24:
        return re.sub(r"[^\d-]", "", number) + "@g.us"
    digits = re.sub(r"\D", "", number)
    if len(digits) >= 18:
        return digits + "@g.us"
    if digits[:2] in {"52", "54"} and len(digits) == 13:
        digits = digits[:2] + digits[3:]
    brazil = re.fullmatch(r"(55)(\d\d)\d(\d{8})", digits)
    if brazil and int(brazil[3][0]) >= 7 and int(brazil[2]) >= 31:
        digits = "".join(brazil.groups())
    return digits + _PERSON


async def look_up(world: World, channel: Channel, number: str) -> Found:
    """Whether WhatsApp knows a number, from the cache or from the network; Refusal where nobody answers."""
    jid = jid_of(number)
    if not jid.endswith(_PERSON):
        return await _look_up_group(world, channel, jid, number)
    digits = jid.removesuffix(_PERSON)
    cached = world.number_cache.get(digits)
    if cached and world.now() - cached[1] < world.options.number_cache_s:
        return Found(cached[0], True, number)
    if channel.line == "none":
        raise unexpected(reading_of_undefined("onWhatsApp"))
    if channel.line == "unpaired" or channel.silent:
        await world.wait(world.options.hang_s)
        raise unexpected(reading_of_undefined("find"))
    if channel.line == "down":
        raise unexpected("Connection Closed")
    if not digits:
        raise bad_request(
            f'Error: JID decoded but user is empty: "{_PERSON}" -> user: "", '
            f'server: "{_PERSON[1:]}", device: undefined'
        )
    registered = world.whatsapp.registered_as.get(digits) or _registered_form(digits)
    if {digits, registered} & world.whatsapp.absent:
        return Found(jid, False, number)
    remember(world, digits, registered)
    return Found(registered + _PERSON, True, number)


def remember(world: World, *forms: str) -> None:
    """The last form is the registered one; all are known for seven days, on every instance."""
    for digits in forms:
        world.number_cache[digits] = (forms[-1] + _PERSON, world.now())


async def recipient(world: World, channel: Channel, number: str) -> str:
    """The JID to send to; Refusal where there is none."""
    found = await look_up(world, channel, number)
    if found.exists:
        return found.jid
    if found.jid.endswith("@g.us"):
        raise bad_request(_UNTHROWN)
    raise Refusal(400, [{"jid": found.jid, "exists": False, "number": found.number}])


async def _look_up_group(world: World, channel: Channel, jid: str, number: str) -> Found:
    if channel.silent:
        await world.wait(world.options.hang_s)
    if not jid.endswith("@g.us"):
        return Found(jid, True, number)
    known = channel.line == "open" and not channel.silent and jid in world.whatsapp.groups
    return Found(jid, known, number)


def _registered_form(digits: str) -> str:
    # Seen: 551199990001 asked, 5511999990001 answered. Where the ninth digit came first, it is registered.
    short = re.fullmatch(r"55(1[1-9]|2[1-8])([6-9]\d{7})", digits)
    return f"55{short[1]}9{short[2]}" if short else digits
