"""Examples of requests and of what they are answered.

A request, its headers and its answer have the same name, so that readers and programs can bring
them together. Answers have the form and the figures of real ones; their words are shortened.
"""

from typing import Any, cast

import orjson

MODEL_ID = "orchestrator-worker"
"""Stands for the served model's own name; see `naming`."""
_NAMES_MODEL = {"model", "id", "example"}
_QUESTION = "Compare tea and coffee."
_ANSWER = "Tea is gentler and comes in more kinds; coffee is stronger and quicker."
_CREATED = 1795282553


def naming(model_id: str, node: Any) -> Any:
    """Return a part of the document with `model_id` in its examples, so that they can be tried."""
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        return {
            key: model_id if key in _NAMES_MODEL and value == MODEL_ID else naming(model_id, value)
            for key, value in fields.items()
        }
    if isinstance(node, list):
        return [naming(model_id, item) for item in cast("list[Any]", node)]
    if isinstance(node, str):  # a stream is one text
        return node.replace(f'"model":"{MODEL_ID}"', f'"model":{orjson.dumps(model_id).decode()}')
    return node


def _user(content: Any) -> dict[str, Any]:
    return {"model": MODEL_ID, "messages": [{"role": "user", "content": content}]}


def _example(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


_PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city right now",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
_CAPITAL = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["name", "inhabitants"],
    "additionalProperties": False,
}

REQUESTS: dict[str, dict[str, Any]] = {
    "simple": _example("A question", _user("What is the capital of Australia?")),
    "streamed": _example(
        "A question, answered in a stream",
        {
            **_user("What is the capital of Australia?"),
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    "parts": _example(
        "Instructions, an earlier turn, and a message in several parts",
        {
            "model": MODEL_ID,
            "messages": [
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "I have two teas at home."},
                {"role": "assistant", "content": "Which ones?"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Sencha and Assam."},
                        {"type": "text", "text": "Which one has more caffeine?"},
                    ],
                },
            ],
            "max_completion_tokens": 2000,
        },
    ),
    "picture": _example(
        "A picture and a question about it",
        {
            "model": MODEL_ID,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What does this show?"},
                        {"type": "image_url", "image_url": {"url": _PICTURE}},
                    ],
                }
            ],
        },
    ),
    "tools": _example(
        "A question that a tool of the caller's can answer",
        {**_user("What is the weather in Canberra?"), "tools": [_WEATHER]},
    ),
    "json": _example(
        "An answer in JSON after a schema",
        {
            **_user("Which is the capital of Australia, and how many people live there?"),
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "capital", "schema": _CAPITAL},
            },
        },
    ),
    "delegated": _example(
        "A question with parts, and a report of what became of them", _user(_QUESTION)
    ),
    "progress": _example(
        "The same in a stream, with the events of the run", {**_user(_QUESTION), "stream": True}
    ),
    "plan": _example(
        "The plan alone, and what it would cost",
        {**_user(_QUESTION), "reasoning_effort": "high"},
    ),
}

WISHES: dict[str, dict[str, Any]] = {
    "simple": _example("Nothing more", ""),
    "delegated": _example("Both reports, in the answer", "usage, results"),
    "progress": _example("The events of the run, in a stream", "progress"),
    "plan": _example("The plan alone", "plan"),
}


def _tokens(read: int, written: int, cached: int = 0, unseen: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": unseen},
    }


def _completion(content: str | None, usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    calls = {"tool_calls": more.pop("calls")} if "calls" in more else {}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None, **calls},
        "logprobs": None,
        "finish_reason": "tool_calls" if calls else "stop",
    }
    return {
        "id": "chatcmpl-5e2b36d083f9558dadb30720",
        "created": _CREATED,
        "model": MODEL_ID,
        "object": "chat.completion",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def _counts(read: int, written: int, cache_written: int = 0) -> dict[str, int]:
    return {
        "input_tokens": read,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": cache_written,
        "total_input_tokens": read + cache_written,
        "output_tokens": written,
    }


def _agent(
    role: str,
    model: str,
    counts: dict[str, int],
    span: tuple[float, float],
    cost_usd: float,
    subtask: tuple[str, str] | None = None,
) -> dict[str, Any]:
    subtask_id, title = subtask or (None, None)
    return {
        "role": role,
        "purpose": None,
        "model": model,
        "subtask_id": subtask_id,
        "title": title,
        "attempt": 1,
        "outcome": "succeeded",
        "reason": None,
        "stop_reason": "tool_use" if role == "lead" else "end_turn",
        **counts,
        **_span(*span),
        "cost_usd": cost_usd,
    }


def _span(starts: float, seconds: float) -> dict[str, float]:
    return {"starts_seconds": starts, "seconds": seconds}


def _subtask(agent: dict[str, Any]) -> dict[str, Any]:
    """Return the subtask of which this was the only attempt."""
    counted = [name for name in agent if name.endswith("_tokens")]
    return {
        "id": agent["subtask_id"],
        "type": None,
        "title": agent["title"],
        "depends_on": [],
        **{name: agent[name] for name in ("outcome", "reason", "seconds", *counted, "cost_usd")},
    }


def _step(agent: dict[str, Any]) -> dict[str, Any]:
    names = ("role", "purpose", "subtask_id", "title", "starts_seconds", "seconds")
    return {name: agent[name] for name in names}


def _result(id_: str, title: str, text: str) -> dict[str, Any]:
    return {
        "id": id_,
        "type": None,
        "title": title,
        "outcome": "succeeded",
        "reason": None,
        "text": text,
    }


_HAIKU, _SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
_LEAD = _agent("lead", _SONNET, _counts(12, 61, 1541), (0.001, 0.935), 0.0044865)
_TEA = _agent("worker", _HAIKU, _counts(335, 32), (0.7, 0.383), 0.0000495, ("s1", "Tea"))
_COFFEE = _agent("worker", _HAIKU, _counts(336, 32), (0.938, 0.381), 0.0000496, ("s2", "Coffee"))
_WRITER = _agent("synthesizer", _HAIKU, _counts(495, 70), (1.321, 0.566), 0.0000845)
_REPORT: dict[str, Any] = {
    "run_id": "run_6fe7fca34fe66356c0c57d96",
    "route": "delegated",
    "partial": False,
    "timed_out": False,
    "agents": [_LEAD, _TEA, _COFFEE, _WRITER],
    "subtasks": [_subtask(_TEA), _subtask(_COFFEE)],
    "critical_path": [_step(_LEAD), _step(_COFFEE), _step(_WRITER)],
    "totals": {
        **_counts(1178, 195, 1541),
        "seconds": 1.888,
        "cost_usd": 0.0046701,
        "cost_usd_on_lead_model": 0.0081585,
    },
    "phases": {
        "coordination_seconds": 1.321,
        "synthesis_seconds": 0.567,
        "time_to_first_token_seconds": 1.525,
    },
    "omissions": [],
    "results": [
        _result("s1", "Tea", "Gentle, and comes in many kinds."),
        _result("s2", "Coffee", "Strong, and quick to make."),
    ],
    "scores": [],
    "rounds": [],
}
_PLAN: dict[str, Any] = {
    "run_id": "run_885627f5112310b791cbc8fd",
    "route": "delegated",
    "plan": [
        {"id": "s1", "title": "Tea", "instructions": "Describe tea, to compare it with coffee."},
        {"id": "s2", "title": "Coffee", "instructions": "Describe coffee, to compare it with tea."},
    ],
    "omissions": [],
    "estimate": {
        "workers": 2,
        "input_tokens": 2364,
        "output_tokens": 2400,
        "expected_cost_usd": 0.0014364,
        "full_length_cost_usd": 0.0093164,
        "spent_on_plan_usd": 0.0007843,
    },
}
_PLAN_TEXT = "\n".join(
    f"{number}. **{subtask['title']}**: {subtask['instructions']}"
    for number, subtask in enumerate(_PLAN["plan"], start=1)
)

_CALL = {
    "id": "toolu_01PmyBnKvHT3zbm2TdYmWq5c",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Canberra"}'},
}

COMPLETIONS: dict[str, dict[str, Any]] = {
    "simple": _example(
        "A direct answer", _completion("The capital of Australia is Canberra.", _tokens(1556, 9))
    ),
    "parts": _example(
        "A direct answer to several parts",
        _completion("Assam, as a rule.", _tokens(1589, 7, cached=1543)),
    ),
    "picture": _example(
        "A direct answer about a picture", _completion("A single blue dot.", _tokens(1561, 6))
    ),
    "tools": _example(
        "A call for the caller to run", _completion(None, _tokens(1702, 21), calls=[_CALL])
    ),
    "json": _example(
        "An answer in JSON",
        _completion('{"name": "Canberra", "inhabitants": 478000}', _tokens(1630, 16)),
    ),
    "delegated": _example(
        "A delegated answer, with both reports",
        _completion(_ANSWER, _tokens(2719, 195, unseen=125), orchestration=_REPORT),
    ),
    "plan": _example(
        "A plan, and what it would cost",
        _completion(_PLAN_TEXT, _tokens(1553, 61, cached=1541), orchestration=_PLAN),
    ),
}


def _chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-2060fd1a765d52691b5dc0c7",
        "created": _CREATED,
        "model": MODEL_ID,
        "object": "chat.completion.chunk",
        "choices": [] if delta is None else [choice],
        **more,
    }


def _stream(*chunks: dict[str, Any]) -> str:
    return "".join(f"data: {orjson.dumps(chunk).decode()}\n\n" for chunk in chunks) + (
        "data: [DONE]\n\n"
    )


def _told(event: str, spent: tuple[int, int, float], **fields: Any) -> dict[str, Any]:
    names = ("input_tokens", "output_tokens", "cost_usd")
    so_far = dict(zip(names, spent, strict=True))
    return _chunk({}, orchestration={"event": event, **fields, "spent": so_far})


_OPENING = _chunk({"role": "assistant", "content": ""})
_CLOSING = _chunk({}, "stop")
_NOTHING, _PLANNED, _WORKED = (0, 0, 0.0), (1553, 61, 0.0044865), (2224, 125, 0.0045856)

STREAMS: dict[str, dict[str, Any]] = {
    "streamed": _example(
        "A direct answer, with its usage",
        _stream(
            _OPENING,
            _chunk({"content": "The capital of Australia "}),
            _chunk({"content": "is Canberra."}),
            _CLOSING,
            _chunk(None, usage=_tokens(1556, 9)),
        ),
    ),
    "progress": _example(
        "A delegated answer, with some of its events",
        _stream(
            _OPENING,
            _told("run_started", _NOTHING, run_id="run_331c3bd8e30f9539cac893da"),
            _told("route_decided", _NOTHING, route="delegated"),
            _chunk({"reasoning_content": "Planned 2 subtasks: Tea; Coffee\n"}),
            _told("plan_closed", _PLANNED, subtasks=2),
            _told("synthesis_started", _WORKED, model=_HAIKU),
            _chunk({"content": "Tea is gentler …"}),
            _CLOSING,
        ),
    ),
    "failed": _example(
        "A run that fails after its stream has begun",
        _stream(
            _OPENING,
            {
                "error": {
                    "message": "The coordination phase did not finish within 45 seconds.",
                    "type": "server_error",
                    "param": None,
                    "code": "timeout",
                }
            },
        ),
    ),
}

SERVED_MODEL: dict[str, Any] = {
    "id": MODEL_ID,
    "object": "model",
    "created": 1795282550,
    "owned_by": "orchestrator-worker",
    "description": "Answers at once, or splits the request among parallel workers and writes one "
    "answer.",
}
MODELS = {"models": _example("One team", {"object": "list", "data": [SERVED_MODEL]})}
MODEL = {"model": _example("The default team", SERVED_MODEL)}
HEALTH = {"alive": _example("Alive", {"status": "ok"})}
READY = {
    "ready": _example("Ready", {"status": "ready", "checks": {"teams": "ok", "upstream": "ok"}})
}
NOT_READY = {
    "not_ready": _example(
        "The model provider refuses the service's key",
        {"status": "not_ready", "checks": {"teams": "ok", "upstream": "authentication"}},
    )
}
