"""`roleta reconcile`: what the workers do every hour, now: look for evidence on every uncertain send."""

import click

from scripts.commands.surroundings import Surroundings, json_option, pass_surroundings, say, say_json
from scripts.commands.tables import console, moment, table
from shared import log
from shared.db import Row
from shared.dispatcher import Providers
from shared.reconcile import Findings, Reconciler

COLUMNS = ("message#", "number", "purpose", "to", "uncertain since", "rule", "presumed", "last evidence")


@click.command()
@json_option
@pass_surroundings
def reconcile(around: Surroundings, as_json: bool) -> None:
    """Ask providers about every message of which we cannot tell whether it was sent, and obey its rule.

    Run it again at will: what has been found stands, and nothing is sent by it but what its rule
    (resend_once) says. What stays uncertain waits for a person. Exit code 1 where a number's provider could
    not be asked, which is said.
    """
    settings = around.settings
    # What there is to say stands in its answer.
    log.configure("CRITICAL", secrets=settings.secrets)
    with around.database(name="roleta reconcile") as db:
        providers = Providers(
            zapi_base_url=settings.zapi_base_url,
            max_connections=4,
            ring=around.ring,
            evolution_url=settings.evolution_url,
            evolution_key=settings.evolution_key,
        )
        try:
            found = Reconciler(db, providers, log.get(command="reconcile")).run_once(
                everything=True, tell=True
            )
        finally:
            providers.close()
        unknown = db.call("messaging.unknown_messages", p_limit=100)
    if as_json:
        say_json({**found.to_json(), "unknown": unknown})
    else:
        _print(found, unknown)
    if found.not_asked:
        raise click.exceptions.Exit(1)


def _print(found: Findings, unknown: list[Row]) -> None:
    for line in sentences(found):
        say(line)
    if unknown:
        rows = [
            (
                row["message_id"],
                row["instance_name"],
                row["purpose"],
                f"…{row['phone_tail']}",
                moment(row["unknown_since"]),
                row["on_unknown"],
                row["presumed"] or "",
                _last(row["evidence"]),
            )
            for row in unknown
        ]
        console().print(table(COLUMNS, rows))


def sentences(found: Findings) -> list[str]:
    """What was done, and what is left."""
    lines = [
        f"looked at {found.looked_at}: {found.confirmed} confirmed as sent, {found.refused} refused,"
        f" {found.resent} sent again by their rule, {found.withdrawn_at_provider} withdrawn at the provider",
        f"{found.still_unknown} are uncertain"
        + (f", {found.presumed_not_sent} of them presumably not sent" if found.presumed_not_sent else ""),
    ]
    lines += [f"{name} was not asked: {why}" for name, why in found.not_asked.items()]
    return lines


def _last(evidence: list[dict[str, str]]) -> str:
    return f"{evidence[-1]['source']}: {evidence[-1]['says']}" if evidence else "none"
