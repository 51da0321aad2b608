"""The provider's own book (scripts/simulator/acceptance_log), read: what everybody is judged by."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A status has the id alone: the message may as well have been typed by hand (zapi contract 5.2 to 5.4).
SAYS_WHO_SENT = frozenset({"DeliveryCallback", "ReceivedCallback"})


@dataclass(frozen=True)
class Book:
    """`times`: acceptances of each text. `told`: texts of which an event reached us; `recognisable`: those of
    which one said that the API sent them. `ambiguous`: faults after which a caller cannot know."""

    times: Counter[str]
    told: frozenset[str]
    recognisable: frozenset[str]
    faults: Counter[str]
    ambiguous: int
    smallest_gap_s: float | None

    @classmethod
    def read(cls, log: Path) -> "Book":
        """Every whole line; the last may be half of one where the process was killed."""
        times: Counter[str] = Counter()
        faults: Counter[str] = Counter()
        ambiguous = 0
        texts: dict[str, str] = {}
        told: defaultdict[str, set[str]] = defaultdict(set)
        at: defaultdict[str, list[float]] = defaultdict(list)
        with log.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                if entry["event"] == "accepted":
                    times[entry["text"]] += 1
                    texts[entry["messageId"]] = entry["text"]
                    at[entry["instance_id"]].append(entry["at"])
                elif entry["event"] == "fault":
                    faults[entry["kind"]] += 1
                    ambiguous += bool(entry["ambiguous"])
                elif entry["event"] == "told":
                    told[texts.get(entry["messageId"], "")].add(entry["kind"])
        told.pop("", None)
        gaps = list(_gaps(at.values()))
        ours = frozenset(text for text, kinds in told.items() if kinds & SAYS_WHO_SENT)
        return cls(times, frozenset(told), ours, faults, ambiguous, min(gaps) if gaps else None)


def gaps_between(acceptances: Iterable[Mapping[str, Any]]) -> list[float]:
    """Seconds between neighbouring acceptances of the same number, all numbers together."""
    by_number: defaultdict[str, list[float]] = defaultdict(list)
    for line in acceptances:
        by_number[line["instance_id"]].append(line["at"])
    return list(_gaps(by_number.values()))


def _gaps(times_of_numbers: Iterable[list[float]]) -> Iterable[float]:
    for times in times_of_numbers:
        ordered = sorted(times)
        yield from (later - earlier for earlier, later in itertools.pairwise(ordered))
