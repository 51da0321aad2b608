"""Who got what when, as an SVG: a band per number, a line per kind, a tick where one left, nights shaded."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from scripts.simulate.checks import Attempt
from scripts.simulate.town import ZONE

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "answers": ("#8a8f98", ("answer",)),
    "sessions": ("#d9730d", ("session_",)),
    "account": ("#c2255c", ("welcome", "upgrade", "farewell", "payment", "direct", "meditation")),
    "reminders": ("#6741d9", ("commitment_", "checkin", "reactivation", "conversation_", "schedule_")),
    "content": ("#2b8a3e", ("content",)),
    "weekly report": ("#1864ab", ("weekly_report",)),
}
_LEFT, _TOP, _LINE, _BAND, _DAY = 130, 70, 15, 22, 190
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def draw(begun: Sequence[Attempt], start: datetime, days: int, title: str) -> str:
    """The picture as SVG text; x is time in São Paulo."""
    names = sorted({attempt.instance_name for attempt in begun})
    band = len(KINDS) * _LINE + _BAND
    width, height = max(_LEFT + days * _DAY + 20, 700), _TOP + len(names) * band + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="11" fill="#333">',
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        *_legend(),
        *_days(start, days, height),
    ]
    for row, name in enumerate(names):
        top = _TOP + row * band
        parts.append(f'<text x="10" y="{top + 4}" font-weight="600">{escape(name)}</text>')
        of_number = [attempt for attempt in begun if attempt.instance_name == name]
        for line, (kind, (colour, _)) in enumerate(KINDS.items()):
            y = top + (line + 1) * _LINE
            left = [attempt for attempt in of_number if kind_of(attempt.purpose) == kind]
            # Half a point is as fine as an eye sees.
            ticks = sorted({round(2 * _x(attempt.begun_at, start)) / 2 for attempt in left})
            parts.append(f'<text x="22" y="{y + 4}" fill="{colour}">{kind}</text>')
            parts.append(
                f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#888">{len(left):,}</text>'
                f'<path d="{"".join(f"M{x:g} {y - 5}v10" for x in ticks)}"'
                f' stroke="{colour}" stroke-opacity=".5"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def kind_of(purpose: str) -> str:
    """The line of the picture that a kind of message stands on."""
    return next((kind for kind, (_, prefixes) in KINDS.items() if purpose.startswith(prefixes)), "account")


def _legend() -> list[str]:
    said = "a tick where messages left, their number beside the line; grey: 22:00-08:00 in São Paulo"
    return [f'<text x="{_LEFT}" y="44" fill="#666">{said}</text>']


def _days(start: datetime, days: int, height: int) -> list[str]:
    parts = []
    bottom = height - 20
    for day in range(-1, days + 1):
        midnight = start.astimezone(ZONE).replace(hour=0, minute=0) + timedelta(days=day)
        night = [max(_LEFT, _x(midnight + timedelta(hours=hours), start)) for hours in (22, 32)]
        night = [min(each, _LEFT + days * _DAY) for each in night]
        if night[1] > night[0]:
            parts.append(
                f'<rect x="{night[0]:.1f}" y="52" width="{night[1] - night[0]:.1f}"'
                f' height="{bottom - 52}" fill="#eceef1"/>'
            )
        if 0 <= day < days:
            x = _x(midnight, start)
            label = f"{_WEEKDAYS[midnight.weekday()]} {midnight:%d.%m.}"
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="52" y2="{bottom}" stroke="#cfd4da"/>')
            parts.append(f'<text x="{x + _DAY / 2:.1f}" y="{height - 6}" text-anchor="middle">{label}</text>')
    return parts


def _x(at: datetime, start: datetime) -> float:
    return _LEFT + (at - start) / timedelta(days=1) * _DAY
