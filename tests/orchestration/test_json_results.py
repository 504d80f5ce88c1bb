"""Results that must be JSON: what is refused, where, and that no result takes long to check."""

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import orjson
import pytest

from orchestrator_worker.clock import stopwatch
from orchestrator_worker.orchestration.json_results import NotTheJson, compact_json
from orchestrator_worker.orchestration.worker import MAX_RESULT_CHARS

UNIQUE: Mapping[str, Any] = {"type": "array", "uniqueItems": True}
NODES: Mapping[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "oneOf": [
                {
                    "properties": {"next": {"$ref": "#/$defs/node"}, "kind": {"const": kind}},
                    "required": ["kind"],
                }
                for kind in ("a", "b")
            ]
        }
    },
}


def reason(text: str, schema: Mapping[str, Any] | None) -> str | None:
    try:
        compact_json(text, schema)
    except NotTheJson as refused:
        return str(refused)
    return None


@pytest.mark.parametrize("levels", [254, 255, 1000])
def test_what_could_not_be_written_again_is_refused(levels: int) -> None:
    text = "[" * levels + "]" * levels
    told = None if levels == 254 else "its result is nested too deeply"
    assert reason(text, None) == reason(text, {"items": {"$ref": "#"}}) == told


@pytest.mark.parametrize(
    ("schema", "value", "place"),
    [
        ({"properties": {"a": {"type": "null"}}}, {"a": 1}, "$.a"),
        ({"properties": {"a b": {"type": "null"}}}, {"a b": 1}, "$['a b']"),
        (
            {"properties": {"a/b~": {"items": {"type": "null"}}}},
            {"a/b~": [None, 1]},
            "$['a/b~'][1]",
        ),
        ({"additionalProperties": False}, {"secret": 1}, "$"),
        ({"items": {"required": ["x"]}}, [{"x": 1}, {}], "$[1]"),
        (
            {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "null"}}},
            {"a": 1},
            "$.a",
        ),
        ({"items": {"pattern": "^x"}}, ["x", "y"], "$[1]"),
        (UNIQUE, [1, 2, 1], "$"),
    ],
)
def test_the_place_of_a_mistake_is_told(schema: Mapping[str, Any], value: Any, place: str) -> None:
    assert reason(json.dumps(value), schema) == f"its result breaks the schema at {place}"


@pytest.mark.parametrize(
    ("items", "alike"),
    [
        ("[]", False),
        ("[1, 2, 3]", False),
        ('[1, true, "1", null, false, 0]', False),
        ("[[], [[]], [[[]]], [[], []]]", False),
        ('[{"a": 1}, {"a": 2}]', False),
        ("[1, 2, 1]", True),
        ('["x", "y", "x"]', True),
        ('[{"a": 1, "b": [2]}, 3, {"b": [2], "a": 1}]', True),
        ("[[{}], [{}]]", True),
        ("[1.5, 1.5]", True),
    ],
)
def test_unique_items_are_all_different(items: str, alike: bool) -> None:
    assert (reason(items, UNIQUE) is not None) == alike
    assert reason(items, {"uniqueItems": False}) is None
    assert reason(f'{{"a": {items}}}', {"uniqueItems": True}) is None


def array_of(items: Iterable[Any]) -> str:
    written: list[str] = []
    room = MAX_RESULT_CHARS - 2
    for item in items:
        text = json.dumps(item, separators=(",", ":"))
        room -= len(text) + 1
        if room < 0:
            break
        written.append(text)
    return f"[{','.join(written)}]"


def of_empty_lists(number: int) -> list[Any]:
    return [[[]] if bit == "1" else [] for bit in f"{number:020b}"]


HARD: dict[str, tuple[Mapping[str, Any], str]] = {
    "different objects": (UNIQUE, array_of({"a": number, "b": "x"} for number in count())),
    "lists of empty lists": (UNIQUE, array_of(map(of_empty_lists, count()))),
    "great numbers": (UNIQUE, array_of(range(10**19, 10**19 + 100_000))),
    "many lists": ({"items": UNIQUE}, array_of([1, 2] for _ in count())),
    "nothing that fits": (
        {"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "array"}}, {"type": "null"}]},
        array_of({"a": 1} for _ in count()),
    ),
    "a pattern that backtracks": (
        {"items": {"pattern": "^(a+)+$"}},
        array_of(["a" * 399_000 + "!"]),
    ),
    "nothing contained": ({"contains": {"const": 1}}, array_of(2 for _ in count())),
    "choices all the way down": (NODES, '{"kind":"b","next":' * 100 + "{}" + "}" * 100),
}


@pytest.mark.parametrize("name", HARD)
def test_no_result_takes_long_to_check(name: str) -> None:
    schema, text = HARD[name]
    value = orjson.loads(text)
    assert value
    seconds: list[float] = []
    for _ in range(3):
        began = stopwatch()
        reason(text, schema)
        seconds.append(stopwatch() - began)
    # Up to 60 ms, half of them to read the JSON; what is not linear took seconds.
    assert min(seconds) < 0.5
