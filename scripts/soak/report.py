"""What a soak found: as a table for a person, and as a JSON file to publish."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.soak.judge import CONFIRMED_SHARE, SHARE_OF_AT_LEAST, Verdict
from scripts.soak.run import BACK_WITHIN_S, GAPS_S, Outcome


def show(console: Console, outcome: Outcome) -> None:
    """The table, then what was broken, or that nothing was."""
    plan, verdict = outcome.plan, outcome.verdict
    if verdict is None:
        return
    title = (
        f"{plan.messages:,} messages, {plan.workers} workers, {plan.numbers} numbers, {outcome.kills} kills, "
        f"{len(outcome.back_s)} database stops, {plan.faults:.0%} faults of six kinds, seed {plan.seed}"
    )
    table = Table(title=title)
    for column, side in (("what", "left"), ("found", "right"), ("promised", "left")):
        table.add_column(column, justify="right" if side == "right" else "left")
    for row in _rows(outcome, verdict):
        table.add_row(*row)
    console.print(table)
    ended = sum(verdict.states.values()) - verdict.stuck
    console.print(
        f"{ended:,} messages in {outcome.seconds:,.0f} s: {rate(outcome):,.0f} a second. How they ended: "
        + ", ".join(f"{count:,} {state}" for state, count in verdict.states.most_common())
    )
    if outcome.stopped_early:
        console.print("stopped early: the verdict is about what was sent until then")
    for line in outcome.broken():
        console.print(f"[red]broken:[/] {line}", soft_wrap=True)


def rate(outcome: Outcome) -> float:
    """Messages a second, over the time in which they were sent."""
    if outcome.verdict is None or not outcome.seconds:
        return 0.0
    return (sum(outcome.verdict.states.values()) - outcome.verdict.stuck) / outcome.seconds


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The figures, with the plan, the commit and the machine."""
    verdict = outcome.verdict
    figures: dict[str, Any] = {}
    if verdict is not None:
        figures = {
            "lost": len(verdict.lost),
            "duplicated": len(verdict.duplicated),
            "unexpected": len(verdict.unexpected),
            "recovered": verdict.confirmed,
            "stuck": verdict.stuck,
            "became_unknown": verdict.unknown_ever,
            "unknown_at_most": verdict.unknown_limit,
            "ambiguous_faults": verdict.ambiguous_faults,
            "begun_and_not_recorded": verdict.left_begun,
            "unknown_and_sent": verdict.unknown_sent,
            "with_a_surviving_receipt": verdict.told,
            "of_these_recovered": verdict.told_confirmed,
            "recognisable": verdict.recognisable,
            "recognisable_recovered": verdict.recognisable_confirmed,
            "sent_and_presumed_not_sent": len(verdict.called_unsent),
            "smallest_gap_s": verdict.smallest_gap_s,
            "audit_findings": verdict.findings,
            "states": dict(verdict.states),
        }
    return {
        "soak": asdict(outcome.plan),
        **outcome.around,
        "stopped_early": outcome.stopped_early,
        "kills": outcome.kills,
        "workers_back_s": outcome.back_s,
        "seconds": round(outcome.seconds, 1),
        "messages_per_s": round(rate(outcome), 1),
        **figures,
        "broken": outcome.broken(),
    }


def _rows(outcome: Outcome, verdict: Verdict) -> list[tuple[str, str, str]]:
    reasons = f"{verdict.ambiguous_faults:,} ambiguous faults + {verdict.left_begun} begun and not recorded"
    rows = [
        ("lost", str(len(verdict.lost)), "0"),
        ("duplicated", str(len(verdict.duplicated)), "0"),
        ("unexpected", str(len(verdict.unexpected)), "0"),
        ("stuck", str(verdict.stuck), "0"),
        ("became unknown", f"{verdict.unknown_ever:,}", f"at most {verdict.unknown_limit:,}: {reasons}"),
        ("  of these really sent", f"{verdict.unknown_sent:,}", "-"),
        ("recovered", f"{verdict.confirmed:,}", "-"),
        ("sent and presumed not sent", str(len(verdict.called_unsent)), "0"),
    ]
    if verdict.told:
        share = (
            f"{verdict.told_confirmed:,} of {verdict.told:,} ({verdict.told_confirmed / verdict.told:.1%})"
        )
        of_many = f"at least {CONFIRMED_SHARE:.0%} of {SHARE_OF_AT_LEAST:,} or more"
        rows.append(("recovered where a receipt survived", share, of_many))
        ours = f"{verdict.recognisable_confirmed:,} of {verdict.recognisable:,}"
        rows.append(("  where one said who sent it", ours, "all"))
    if outcome.back_s:
        rows.append(("workers back after", f"{max(outcome.back_s):.1f} s", f"{BACK_WITHIN_S:g} s"))
    if verdict.smallest_gap_s is not None:
        rows.append(("smallest gap of a number", f"{verdict.smallest_gap_s:.3f} s", f"{GAPS_S[0]} s"))
    return [*rows, ("audit findings", str(len(verdict.findings)), "0")]
