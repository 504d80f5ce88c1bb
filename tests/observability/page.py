"""What docs/logs.md says of each event, and whether an event is as it says."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parent.parent.parent / "docs" / "logs.md").read_text("utf-8")
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list of strings": (list,),
    "null": (type(None),),
}


@dataclass
class Documented:
    """What the page says of one event."""

    levels: set[str]
    fields: dict[str, str] = field(default_factory=dict[str, str])
    """Types by name."""
    when: dict[str, str] = field(default_factory=dict[str, str])


def rows(text: str) -> list[list[str]]:
    found = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in row] for row in found]


def documented() -> dict[str, Documented]:
    events: dict[str, Documented] = {}
    for section in re.split(r"^##+ ", PAGE.partition("\n## Events\n")[2], flags=re.MULTILINE):
        if named := re.match(r"`(\w+)`\n\nLevel: ([^.]*)\.", section):
            levels = set(re.findall(r"\b(?:debug|info|warning|error)\b", named[2]))
            told = rows(section)
            events[named[1]] = Documented(
                levels,
                {row[0]: row[1] for row in told},
                {row[0]: row[2] if len(row) == 4 else "always" for row in told},
            )
    return events


def common() -> dict[str, str]:
    section = PAGE.partition("\n## For programs\n")[2].partition("\n## ")[0]
    return {row[0]: row[1] for row in rows(section)}


EVENTS, COMMON = documented(), common()


def fits(value: Any, wanted: str) -> bool:
    kinds = tuple(kind for name in wanted.split(" or ") for kind in TYPES[name])
    if isinstance(value, bool) and bool not in kinds:
        return False
    return isinstance(value, kinds)


def wrong_with(event: dict[str, Any]) -> list[str]:
    """Return in what an event of ours differs from the page."""
    name, known = event["event"], EVENTS.get(event["event"])
    if known is None:
        return [f"{name} is not documented"]
    types = {**COMMON, **known.fields}
    wrong = [f"{name}: {key} is not documented" for key in event if key not in types]
    always = {key for key, when in known.when.items() if when == "always"}
    always |= {"event", "level", "logger", "timestamp"}
    wrong += [f"{name}: {key} is missing" for key in sorted(always - event.keys())]
    wrong += [
        f"{name}: {key} is {value!r} and not {types[key]}"
        for key, value in event.items()
        if key in types and not fits(value, types[key])
    ]
    if event["level"] not in known.levels:
        wrong.append(f"{name}: level {event['level']}")
    return wrong


def check(events: list[dict[str, Any]]) -> None:
    ours = [event for event in events if event["logger"].startswith("orchestrator_worker")]
    wrong = sorted({it for event in ours for it in wrong_with(event)})
    assert not wrong, wrong
