"""How an instance connects and what becomes of it (evolution contract 7): sockets, QR codes, endings."""

import asyncio

from scripts.simulator.evolution import endings, payloads, qr
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.inbound import deliver_held
from scripts.simulator.evolution.rows import Channel, stamp
from scripts.simulator.evolution.world import World
from scripts.simulator.options import BadSettingError


def connect(world: World, channel: Channel, number: str | None = None) -> None:
    """Open one more socket. One that is there already goes on, unseen by the server, even after a delete
    (contract 1.13)."""
    pairing_code = qr.new_pairing_code() if number else None
    announce(world, channel)
    # From now, not from when the task begins: a QR that is due before an answer comes before it.
    due = asyncio.get_running_loop().time() + world.options.qr_delay_s / world.speed
    life = _reconnect(world, channel) if channel.row.paired else _pair(world, channel, pairing_code, due)
    channel.socket = world.sockets.spawn(life)


def announce(world: World, channel: Channel) -> None:
    """The socket is opening: memory and webhook say so, the database does not."""
    channel.state, channel.line = "connecting", "down"
    emit(world, channel, "connection.update", payloads.connecting(channel))


async def _pair(world: World, channel: Channel, pairing_code: str | None, due: float) -> None:
    while True:
        if not await _reached(world, channel):
            return
        await _until(due)
        for _ in range(world.options.qr_set):
            if not show_next(world, channel, pairing_code):
                return
            while channel.code_until > asyncio.get_running_loop().time():
                await _until(channel.code_until)
        if not _is_current(channel):
            emit(world, channel, "connection.update", payloads.connecting(channel))
        elif world.profile.set_end_is_final:
            endings.close_for_good(world, channel, 408, "QR refs attempts ended")
            return
        else:
            announce(world, channel)
        due = asyncio.get_running_loop().time() + world.options.qr_delay_s / world.speed


async def _until(due: float) -> None:
    left = due - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


def show_next(world: World, channel: Channel, pairing_code: str | None) -> bool:
    """The next QR, or, at the limit, the end of this pairing: False."""
    if not _is_current(channel):
        emit(world, channel, "connection.update", payloads.connecting(channel))
        channel.code_until = asyncio.get_running_loop().time() + world.options.qr_life_s / world.speed
        return True
    if channel.count >= world.options.qr_limit:
        endings.refuse_pairing(world, channel)
        return False
    channel.count += 1
    channel.code, channel.pairing_code = qr.new_code(pairing_code), pairing_code
    channel.code_until = asyncio.get_running_loop().time() + world.options.qr_life_s / world.speed
    channel.line = "unpaired"
    channel.row.connection_status = "connecting"
    emit(world, channel, "qrcode.updated", payloads.shown(channel))
    return True


def _is_current(channel: Channel) -> bool:
    # A stray socket does not know that its instance is open, closed or gone.
    return channel.state == "connecting" and channel.socket is not None


async def _reached(world: World, channel: Channel) -> bool:
    """Wait until the network can be reached, with the reconnects meanwhile. False: given up (2.4 does not
    reconnect before the first QR)."""
    while world.whatsapp.unreachable:
        channel.code = None
        if world.profile.reconnect_pause_s:
            if not channel.count and not channel.row.paired:
                channel.state = "close"
                return False
            await world.wait(world.profile.reconnect_pause_s)
        else:
            await asyncio.sleep(1 / world.whatsapp.unreachable)
        announce(world, channel)
    return True


async def _reconnect(world: World, channel: Channel, down_s: float | None = None) -> None:
    await world.wait(world.options.reconnect_s if down_s is None else down_s)
    # Logged out while it was away: its keys are gone.
    if await _reached(world, channel) and channel.row.paired:
        _open(world, channel)


def _open(world: World, channel: Channel) -> None:
    row = channel.row
    channel.own_jid, channel.state, channel.line, channel.code = row.owner_jid, "open", "open", None
    row.connection_status, row.updated_at = "open", stamp()
    emit(world, channel, "connection.update", payloads.opened(channel))
    deliver_held(world, channel)


def lose(world: World, channel: Channel, down_s: float | None = None) -> None:
    """The socket is lost (network, 440, 503): the database goes on saying open, no `close` is posted."""
    if not channel.row.paired:
        raise BadSettingError("this instance is not connected")
    if channel.socket:
        channel.socket.cancel()
    channel.state, channel.line, channel.silent = "close", "down", False
    announce(world, channel)
    channel.socket = world.sockets.spawn(_reconnect(world, channel, down_s))


def scan(world: World, channel: Channel, phone: str, name: str) -> None:
    """The phone reads the QR that is shown: within about a second the instance is open."""
    if channel.state != "connecting" or channel.code is None:
        raise BadSettingError("no QR is shown: call GET /instance/connect/{name} and wait for one")
    if not phone.isdigit():
        raise BadSettingError("phone must be digits, with the country's")
    if channel.socket:
        channel.socket.cancel()
    channel.socket = world.sockets.spawn(_log_in(world, channel, phone, name))


async def _log_in(world: World, channel: Channel, phone: str, name: str) -> None:
    await world.wait(world.options.scan_s / 2)
    # 515, "restart required": memory says close for an instant, no webhook does.
    channel.state, channel.line = "close", "down"
    announce(world, channel)
    await world.wait(world.options.scan_s / 2)
    row = channel.row
    row.owner_jid, row.profile_name, row.paired = f"{phone}@s.whatsapp.net", name, True
    if phone in world.whatsapp.banned:
        endings.close_for_good(world, channel, 403, "Connection Failure")
        return
    _open(world, channel)


def fall_silent(world: World, channel: Channel) -> None:
    """The peer says nothing more: `open` for a while, then `connecting`."""
    if channel.state != "open":
        raise BadSettingError("this instance is not open")
    channel.silent = True
    channel.socket = world.sockets.spawn(_notice(world, channel))


async def _notice(world: World, channel: Channel) -> None:
    await world.wait(world.options.silence_noticed_s)
    channel.state, channel.line = "close", "down"
    announce(world, channel)


def speak_again(world: World, channel: Channel) -> None:
    """The peer answers as before."""
    noticed, channel.silent = channel.state != "open", False
    if channel.socket:
        channel.socket.cancel()
    if noticed:
        channel.socket = world.sockets.spawn(_reconnect(world, channel))


def restart_server(world: World) -> None:
    """The server starts anew: webhooks under way are lost, counts begin at 0, and what the database calls
    open or connecting connects by itself (2.3.6: everything)."""
    world.sockets.cancel()
    world.posting.cancel()
    world.memory.clear()
    for row in world.rows:
        channel = world.memory[row.name] = Channel(row)
        if not row.connects:
            channel.state = "open"
        elif row.connection_status != "close" or world.profile.boots_closed:
            connect(world, channel)


def cut_off(world: World) -> None:
    """The network is gone: what was open or connecting starts to reconnect without end."""
    for channel in world.memory.values():
        if channel.row.paired:
            lose(world, channel, down_s=0.0)
        elif channel.state == "connecting" and channel.socket:
            channel.socket.cancel()
            channel.code = None
            connect(world, channel)


def let_go(world: World) -> None:
    """The network is back. An instance that was logged out meanwhile, its loop going on, is closed."""
    for channel in world.memory.values():
        if channel.socket is None and channel.state == "connecting":
            channel.state = "close"
