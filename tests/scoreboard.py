"""The scoreboard: what must be shown of reliability (R) and security (S), and in which tier it is shown.

A test that shows a line carries `@pytest.mark.scoreboard("R3", tier="commit")`; a line that nothing shows
fails tests/unit/test_scoreboard.py. Tiers: commit (90 s all together), landing (10 min, in CI), and nightly
(an hour; it runs only where `--tier nightly` asks for it); what is no test stands in COMMANDS. `small=True`:
a later tier shows the same at its full size, and leaves this case out. Without a tier all tests run but those
of the night.
"""

from typing import Literal, get_args

Tier = Literal["commit", "landing", "nightly"]
TIERS: tuple[Tier, ...] = get_args(Tier)

LINES = {
    "R1": "concurrent claims never overlap and pass over nobody",
    "R2": "workers killed and a faulty provider: nothing lost, nothing twice, nothing unexpected",
    "R3": "a process that ends at any named point leaves the state that the table says",
    "R4": "a worker that wakes up after its lease changes nothing and sends nothing twice",
    "R5": "PostgreSQL stopped at once: nothing committed is lost, workers are back",
    "R6": "a lost answer to COMMIT makes no second row and no send without a known begin",
    "R7": "no two paced messages of a number closer than its gap",
    "R8": "seats are given at random, all of them, and never one too many",
    "R9": "outbox and allocation do what a small model does",
    "R10": "two sessions in a fixed order: one winner, no deadlock",
    "R11": "events repeated, shuffled and dropped: as if each had come once",
    "R12": "evidence settles unknowns, and never says unsent of what was sent",
    "R13": "a number that goes down begins nothing more, and its messages stay its own",
    "R14": "one contract suite over both providers",
    "R15": "migrations forth and back leave the same schema",
    "R16": "planted defects are caught, each by a named test",
    "R17": "the last release's Python works on this schema",
    "R19": "a worker that is asked to stop leaves nothing unknown",
    "R20": "the tests themselves neither flake nor sleep nor leave this machine",
    "S1": "a webhook belongs to the number whose secret it carries, and two secrets are live while rotating",
    "S2": "a signed webhook or token is refused for its algorithm, key, audience, issuer and expiry",
    "S3": "Stripe's events are taken with a fresh signature, once",
    "S4": "every function says who may call it, and others are refused",
    "S5": "hostile bodies are answered with a 4xx",
    "S6": "each role does to each object what one table says",
    "S7": "the same under permissive and restrictive default grants",
    "S8": "the catalog has no object that its lints find fault with",
    "S9": "no role writes a state table but through a function",
    "S10": "credentials are encrypted where they stand, and their keys rotate",
    "S11": "a canary planted in every secret is found nowhere",
    "S12": "no address that a stranger chose is asked, unless it is public",
    "S13": "a form of another site changes nothing",
    "S14": "hostile text adds no element to a page",
    "S15": "a QR code is shown to its client's manager alone, and kept only in its pairing",
    "S16": "another tenant's id and an invented one look alike",
    "S17": "no message leaves through another tenant's number",
    "S18": "strangers cannot drain the seats",
    "S19": "texts and raw events go on their day, the history stays",
    "S20": "dependencies are locked and known to be sound, no secret is in the repository, TLS is verified",
}

# What is shown by a command rather than by a test.
COMMANDS: dict[str, str] = {
    "R16": "python3 scripts/defects.py",
    "R20": "python3 scripts/test.py --quick --random-order --repeat 50",
}
