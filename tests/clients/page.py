"""Writes docs/compatibility.md: page.md with the outcomes of a run put in."""

from pathlib import Path
from textwrap import fill

from environments import ROOT
from orders import CASES
from outcomes import MARKS, Outcome

WIDTH = 120
PAGE = ROOT / "docs" / "compatibility.md"
NAMES = {
    "openai-python": "openai (Python)",
    "openai-node": "openai (Node)",
    "ai-sdk-compatible": "@ai-sdk/openai-compatible",
    "ai-sdk-openai": "@ai-sdk/openai",
    "langchain": "langchain-openai",
}
"""What the page calls clients whose packages are called otherwise."""


def page(outcomes: list[Outcome]) -> str:
    """Return the page."""
    text = (Path(__file__).parent / "page.md").read_text("utf-8")
    values = {
        "matrix": _matrix(outcomes),
        "marks": _wrapped(_marks(outcomes)),
        "meanings": _list([f"**{name}**: {means}" for name, means in CASES["cases"].values()]),
        "openai_clients": " and ".join(map(_name, CASES["openai_clients"])),
        "openai_cases": _list(_openai_cases(outcomes)),
        "progress": _list(_progress(outcomes), indent="    "),
    }
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _name(client: str) -> str:
    return NAMES.get(client, client)


def _list(entries: list[str], indent: str = "") -> str:
    """Return a list, whose entries end in stops."""
    return "\n".join(_wrapped(f"{indent}* {entry}.", f"{indent}  ") for entry in entries)


def _wrapped(text: str, indent: str = "") -> str:
    return fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _matrix(outcomes: list[Outcome]) -> str:
    found = {(outcome.client, outcome.case): MARKS[outcome.outcome] for outcome in outcomes}
    versions = {outcome.client: outcome.version for outcome in outcomes}
    names = [name for name, _ in CASES["cases"].values()]
    rows = [
        [_name(client), version, *(found[client, case] for case in CASES["cases"])]
        for client, version in versions.items()
    ]
    lines = (["client", "version", *names], ["---", "---", *(":-:" for _ in names)], *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _marks(outcomes: list[Outcome]) -> str:
    """Return what the marks say, and why clients lack what they lack, each reason once."""
    told = [outcome.detail for outcome in outcomes if outcome.outcome == "not offered"]
    reasons = "; ".join(dict.fromkeys(told))
    return f"✓ works, ✗ does not, – the client has no such thing: {reasons}. What is tried:"


def _openai_cases(outcomes: list[Outcome]) -> list[str]:
    """Return OpenAI's own cases, with the clients in which one does not work."""
    entries: list[str] = []
    for case, means in CASES["openai_cases"].items():
        failed = [o.client for o in outcomes if (o.case, o.outcome) == (case, "failed")]
        entries.append(f"{means}{''.join(f' (✗ {_name(client)})' for client in failed)}")
    return entries


def _progress(outcomes: list[Outcome]) -> list[str]:
    """Return where each client that shows it has it."""
    found = [outcome for outcome in outcomes if outcome.case == "progress"]
    return [f"{_name(o.client)} shows it {o.detail}" for o in found if o.outcome == "ok"]
