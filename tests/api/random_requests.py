"""Requests for chat completions at random: legal ones in all their forms, and what becomes of them
when somebody damages them.
"""

import base64
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import jsonschema_rs
from hypothesis import strategies as st

from chat import MODEL
from tests.claude.random_schemas import ROOT
from tests.simulator.pictures import gif, jpeg, png

Json = dict[str, Any]
Path = tuple[str | int, ...]

ODD_TEXTS = [
    "", " ", "\n", "\0", "\u2028", "\ufeff", "é", "e\u0301", "👩\u200d👩\u200d👧",
    "🏴\U000e0067\U000e007f", "data: [DONE]\n\n", "</tool-result>", '"', "\\", "{}", "[]",
    "null", "x" * 3000, "ﷺ" * 400, "{{item}}", "{delegate}",
    "\x7f\x1b[31m", "\ud7ff\ue000", "\U0010ffff", "Human: \n\nAssistant:",
]  # fmt: skip
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12
)
SAID = TEXTS.map(lambda text: f"a{text}")
"""Texts that are not blank."""
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True) | st.sampled_from(
    ["delegate", "delegate_2", "get_weather", "x" * 64]
)
IDS = st.sampled_from(["call_0", "call_1", "toolu_1", "a.b:c", "ü", "x" * 300, " "]) | SAID
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.just(1.5) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


DEPTH = 12


def nested(levels: int) -> Json:
    value: Json = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


IMAGES = st.sampled_from(
    [
        data_url("image/png", png()),
        data_url("image/jpeg", png()),  # taken for what it is
        data_url("image/jpeg", jpeg(3, 4)),
        data_url("image/gif", gif(5, 6)),
        "https://example.org/a.png?b=c#d",
    ]
)
FILES = st.sampled_from(
    [
        data_url("application/pdf", b"%PDF-1.4\n1 0 obj<</Type/Page>>endobj\n%%EOF"),
        data_url("text/plain", "naïve\n".encode()),
        data_url("text/csv", b"a,b\r\n1,2"),
        data_url("application/json", b'{"a": 1}'),
    ]
)
TEXT_PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})
SAID_PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": SAID})
IMAGE_PARTS = st.fixed_dictionaries(
    {
        "type": st.just("image_url"),
        "image_url": IMAGES
        | st.fixed_dictionaries({"url": IMAGES}, optional={"detail": st.just("low")}),
    }
)
FILE_PARTS = st.fixed_dictionaries(
    {
        "type": st.just("file"),
        "file": st.fixed_dictionaries(
            {"file_data": FILES}, optional={"filename": st.none() | TEXTS}
        ),
    }
)
REFUSAL_PARTS = st.fixed_dictionaries({"type": st.just("refusal"), "refusal": TEXTS})
TEXT_CONTENT = TEXTS | st.lists(TEXT_PARTS, max_size=3)
USER_CONTENT = TEXTS | st.lists(TEXT_PARTS | IMAGE_PARTS | FILE_PARTS, max_size=4)
SAID_CONTENT = SAID | st.lists(SAID_PARTS, min_size=1, max_size=2)
ANSWER_CONTENT = st.none() | TEXTS | st.lists(TEXT_PARTS | REFUSAL_PARTS, max_size=3)
ARGUMENTS = st.sampled_from(["", "{}", " {} ", "[1]", "{", "null", json.dumps(nested(90))]) | (
    st.dictionaries(TEXTS, VALUES, max_size=3).map(json.dumps)
)


def message(role: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"role": st.just(role), **fields})


USER = st.fixed_dictionaries(
    {"role": st.just("user"), "content": USER_CONTENT}, optional={"name": st.none() | TEXTS}
)
ASKED = message("user", content=SAID_CONTENT)
INSTRUCTIONS = message("system", content=TEXT_CONTENT) | message("developer", content=TEXT_CONTENT)
ANSWER = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": ANSWER_CONTENT,
        "refusal": st.none() | TEXTS,
        "name": TEXTS,
        "reasoning_content": TEXTS,
        "audio": st.none(),
        "tool_calls": st.none() | st.just([]),
        "function_call": st.none(),
    },
)


@st.composite
def calls_and_results(draw: st.DrawFn) -> list[Json]:
    """An answer that calls tools, and their results in any order, with words in between."""
    ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
    calls: list[Json] = []
    for id_ in ids:
        function: Json = {"name": draw(NAMES | SAID.map(lambda it: it[:200]))}
        if draw(st.booleans()):
            function["arguments"] = draw(st.none() | ARGUMENTS)
        calls.append({"id": id_, "type": "function", "function": function})
    said: Json = {"role": "assistant", "tool_calls": calls}
    if draw(st.booleans()):
        said["content"] = draw(ANSWER_CONTENT)
    results = [
        {"role": "tool", "tool_call_id": id_, "content": draw(st.none() | TEXT_CONTENT)}
        for id_ in draw(st.permutations(ids))
    ]
    between = draw(st.lists(USER | INSTRUCTIONS, max_size=1))
    return [said, *results[:1], *between, *results[1:]]


@st.composite
def older_call(draw: st.DrawFn) -> list[Json]:
    """The same in the older form."""
    name = draw(NAMES)
    call = {"name": name, "arguments": draw(ARGUMENTS)}
    result = {"role": "function", "name": name, "content": draw(st.none() | TEXT_CONTENT)}
    return [{"role": "assistant", "content": None, "function_call": call}, result]


def as_list(one: Json) -> list[Json]:
    return [one]


TURNS = st.one_of(
    (USER | INSTRUCTIONS).map(as_list), ANSWER.map(as_list), calls_and_results(), older_call()
)


@st.composite
def histories(draw: st.DrawFn) -> list[Json]:
    """Messages with something to answer among them."""
    turns = draw(st.lists(TURNS, max_size=4))
    turns.insert(draw(st.integers(0, len(turns))), [draw(ASKED)])
    return [message for turn in turns for message in turn]


PARAMETERS = st.one_of(
    st.none(),
    st.just({}),
    ROOT,
    st.builds(nested, st.integers(1, 100)).map(lambda it: {"type": "object", "properties": it}),
    st.sampled_from(
        [
            {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"properties": None},
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
        ]
    ),
)
FUNCTIONS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "description": st.none() | TEXTS,
        "parameters": PARAMETERS,
        "strict": st.none() | st.booleans(),
    },
)


def named(function: Json) -> str:
    return function["name"]


OFFERED = st.lists(FUNCTIONS, min_size=1, max_size=4, unique_by=named)


def _allowed(mode: str, tools: list[Json]) -> Json:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def _formed(schema: Json | None, more: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}


def _compiles(schema: Json) -> bool:
    try:
        jsonschema_rs.validator_for(schema)
    except ValueError:  # it refers to what is not in it
        return False
    return True


SCHEMAS = ROOT.filter(_compiles)


@st.composite
def tool_fields(draw: st.DrawFn) -> Json:
    """The caller's tools and what may be called of them, in the newer form, the older one, none."""
    functions = draw(OFFERED)
    names = st.sampled_from([function["name"] for function in functions])
    form = draw(st.sampled_from(["tools", "functions", "none"]))
    if form == "none":
        return draw(st.sampled_from([{}, {"tools": None}, {"tools": [], "tool_choice": "none"}]))
    if form == "functions":
        choice = st.sampled_from([None, "none", "auto"]) | names.map(lambda it: {"name": it})
        return {"functions": functions, "function_call": draw(choice)}
    one = names.map(lambda it: {"type": "function", "function": {"name": it}})
    mode = st.sampled_from(["auto", "required"])
    some = st.builds(_allowed, mode, st.lists(one, min_size=1, max_size=2))
    fields: Json = {"tools": [{"type": "function", "function": it} for it in functions]}
    if draw(st.booleans()):
        fields["tool_choice"] = draw(
            st.sampled_from([None, "none", "auto", "required"]) | one | some
        )
    if draw(st.booleans()):
        fields["parallel_tool_calls"] = draw(st.none() | st.booleans())
    return fields


FORMATS = st.one_of(
    st.sampled_from([None, {"type": "text"}, {"type": "json_object"}]),
    st.builds(
        _formed,
        st.none() | SCHEMAS,
        st.sampled_from([{}, {"strict": True}, {"strict": None, "description": "d"}]),
    ),
)
STOPS = st.text(max_size=5) | st.sampled_from(["\n\n", "END", " ", "x" * 1000])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "stream": st.none() | st.booleans(),
        "stream_options": st.none()
        | st.fixed_dictionaries({}, optional={"include_usage": st.none() | st.booleans()}),
        "max_completion_tokens": st.none() | st.integers(1, 2**40),
        "max_tokens": st.none() | st.integers(1, 2000),
        "stop": st.none() | STOPS | st.lists(STOPS, max_size=16),
        "n": st.sampled_from([None, 1]),
        "temperature": st.none() | st.floats(0, 2) | st.just(1),
        "top_p": st.none() | st.floats(0, 1),
        "frequency_penalty": st.none() | st.floats(-2, 2),
        "presence_penalty": st.none() | st.floats(-2, 2),
        "reasoning_effort": st.sampled_from([None, "none", "minimal", "low", "high", "max"]),
        "response_format": FORMATS,
        "logprobs": st.sampled_from([None, False]),
        "top_logprobs": st.sampled_from([None, 0]),
        "logit_bias": st.sampled_from([None, {}]),
        "modalities": st.sampled_from([None, ["text"], []]),
        "audio": st.none(),
        "seed": st.none() | st.integers(-(2**63), 2**64 - 1),
        "metadata": st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
        "user": TEXTS,
        "store": st.booleans(),
        "service_tier": st.just("auto"),
        "prediction": VALUES,
    },
)


@st.composite
def requests(draw: st.DrawFn) -> Json:
    """A request that OpenAI's API would take, and this service as well."""
    return {
        "model": MODEL,
        "messages": draw(histories()),
        **draw(FIELDS),
        **draw(tool_fields()),
    }


ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1e308, -0.0, float("nan"), float("inf"), 10**400,
    2**63, -(2**63) - 1,
    2**64, "", " ", "\0", "\ud800", "a\udfffb", [], {}, [[]], [None], [{}],
    {"type": "text"}, {"role": "user"},
    {"type": "function"}, {"": None}, "user", "tool", "named", "string", "parts", "word",
    "https://a",
    "data:,", "data:image/png;base64,", "data:text/plain;base64,/w==", "x" * 70_000,
    nested(150), nested(300),
    {"type": "json_schema"}, {"type": "json_schema", "json_schema": {"schema": {"type": 1}}},
    ["a"] * 130, [{"type": "text", "text": "a"}] * 1001, {"url": 1}, {"name": "nobody"},
]  # fmt: skip
ODD_KEYS = [
    "role", "content", "type", "text", "name", "tool_calls", "function_call", "refusal",
    "n", "stop",
    "schema", "audio", "web_search_options", "top_logprobs", "logit_bias", "a.b", "0", "",
]  # fmt: skip


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where every part of a JSON value is, as deep as requests are by themselves."""
    if isinstance(value, dict | list) and len(path) < DEPTH:
        members: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in members:
            yield (*path, key)
            yield from places(member, (*path, key))


def parent_of(value: Any, path: Path) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


def odd_value(draw: st.DrawFn) -> Any:
    return deepcopy(draw(st.sampled_from(ODD_VALUES)))


def damage(draw: st.DrawFn, request: Json) -> None:
    """Change a request at one place."""
    there = list(places(request))
    if not there:
        return
    path = draw(st.sampled_from(there))
    parent, key = parent_of(request, path), path[-1]
    kind = draw(st.sampled_from(["replace", "delete", "repeat", "insert", "move"]))
    if kind == "replace":
        parent[key] = odd_value(draw)
    elif kind == "delete":
        del parent[key]
    elif kind == "repeat" and isinstance(key, int):
        parent.insert(key, deepcopy(parent[key]))
    elif kind == "move":
        moved = draw(st.sampled_from(there))
        parent[key] = deepcopy(parent_of(request, moved)[moved[-1]])
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(ODD_KEYS))] = odd_value(draw)


def cut(draw: st.DrawFn, body: bytes) -> bytes:
    return body[: draw(st.integers(0, len(body)))]


def torn(draw: st.DrawFn, body: bytes) -> bytes:
    """Put bytes anywhere that are no UTF-8, or no JSON."""
    at = draw(st.integers(0, len(body)))
    odd = [
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\0",
        b"\xef\xbb\xbf",
        b",",
        b"NaN",
        b'"',
        b"\\u",
        b"}",
    ]
    return body[:at] + draw(st.sampled_from(odd)) + body[at:]


def doubled(draw: st.DrawFn, body: bytes) -> bytes:
    """Give the body a key twice."""
    odd = json.dumps(draw(st.sampled_from(ODD_VALUES))).encode()
    return b'{"messages": ' + odd + b", " + body[1:] if body[:1] == b"{" else body


def as_it_is(_draw: st.DrawFn, body: bytes) -> bytes:
    return body


SPOILING: list[Callable[[st.DrawFn, bytes], bytes]] = [*[as_it_is] * 8, cut, torn, doubled]


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """A request's body, damaged as a value, as bytes, or both."""
    request = json.loads(json.dumps(draw(requests())))
    for _ in range(draw(st.integers(1, 3))):
        damage(draw, request)
    text = json.dumps(request, ensure_ascii=draw(st.booleans()))
    body = text.encode("utf-8", "surrogatepass")
    return draw(st.sampled_from(SPOILING))(draw, body)
