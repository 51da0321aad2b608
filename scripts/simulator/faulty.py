"""A send as the fault plan says: well, or with a fault before or after the acceptance, which is written to
the log. Which sends are accepted, and the words of a refusal, are each provider's."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.http_server import Answer
from scripts.simulator.options import ACCEPTING_FAULTS, CLEAR_FAULTS, FaultPlan

# The fault as it goes into the log -> the answer, and whether it was an acceptance
Accept = Callable[[str | None], Awaitable[tuple[Answer, bool]]]
Refuse = Callable[[int, str], Answer]
_WIRE_FAULT = {"accept_then_hang": "hang", "accept_then_close": "close", "accept_then_reset": "reset"}


async def faulty(
    plan: FaultPlan, log: AcceptanceLog, who: Mapping[str, Any], accept: Accept, refuse: Refuse
) -> Answer:
    """One send's answer; `who` is what the log says of it where it goes wrong."""
    fault = plan.draw(who.get("instance_id"))
    if fault is None:
        return (await accept(None))[0]
    answer, accepted = Answer(), False
    if fault in ACCEPTING_FAULTS:
        answer, accepted = await accept(fault)
    log.fault(fault, ambiguous=fault not in CLEAR_FAULTS, accepted=accepted, fields=who)
    if fault in {"error_before_accept", "accept_then_500"}:
        return refuse(500, "Internal Server Error")
    if fault == "429":
        return refuse(429, "Too Many Requests")
    if fault == "refused":
        return refuse(400, "Invalid phone")
    answer.fault = _WIRE_FAULT.get(fault, fault)
    answer.wait_s = plan.slow_s if fault == "slow" else plan.hang_s
    return answer
