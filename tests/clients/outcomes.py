"""What became of a case of a client, and how a terminal shows all of them."""

import json
from dataclasses import dataclass

from orders import CASES

MARKS = {"ok": "✓", "failed": "✗", "not offered": "–"}


@dataclass(frozen=True)
class Outcome:
    """What became of one case of one client."""

    client: str
    version: str
    case: str
    outcome: str
    """One of `MARKS`."""
    detail: str


def read_outcome(line: str) -> Outcome | None:
    """Read what a client's program printed; None when it is something else."""
    try:
        told = json.loads(line)
        return Outcome(**{name: str(value) for name, value in told.items()})
    except (ValueError, TypeError, AttributeError):
        return None


def table(outcomes: list[Outcome]) -> str:
    """Return a line per case and a column per client."""
    clients = list(dict.fromkeys(outcome.client for outcome in outcomes))
    found = {(outcome.case, outcome.client): MARKS[outcome.outcome] for outcome in outcomes}
    cases = [*CASES["cases"], *CASES["openai_cases"]]
    width = max(map(len, cases))
    lines = [" " * width + "  " + "  ".join(clients)]
    for case in cases:
        cells = (found.get((case, client), " ").center(len(client)) for client in clients)
        if any((case, client) in found for client in clients):
            lines.append(f"{case.ljust(width)}  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)
