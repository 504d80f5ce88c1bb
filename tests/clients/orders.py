"""What the simulator of the Claude API is told before the clients run, made from cases.json.

Every order goes by the prompt of its case, so that clients can run side by side and none of them
has to change what is in force for the others.
"""

import json
from pathlib import Path
from typing import Any

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "cases.json").read_text("utf-8"))
FORM_TOOLS = ("Form", "PartialForm", "final_result")
"""What clients call the tool by which they ask for a filled form."""
_AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
_IN_FLIGHT = {"first_token_seconds": 1, "tokens_per_second": 0}
"""So slow that requests sent together meet."""


def script() -> dict[str, Any]:
    """Return the whole script. Of its replies the first that fits is given."""
    return {
        "latencies": dict.fromkeys(("haiku", "sonnet", "default"), _AT_ONCE),
        "replies": [
            _reply(_case("plain")["prompt"], text=_case("plain")["answer"]),
            _reply(_case("image")["prompt"], text=_case("image")["answer"]),
            *_tools(),
            *_forms(),
            _reply(_case("error_in_stream")["prompt"], text=_case("error_in_stream")["answer"]),
            *_endless(),
            *_numbers(),
            *_team(),
        ],
        "faults": [
            {
                "when": {"contains": _case("error_in_stream")["prompt"]},
                "fault": {"kind": "error_event", "after_deltas": 5},
            },
            {"when": {"contains": _case("refusal")["prompt"]}, "fault": {"kind": "refusal"}},
            {"when": {"contains": _case("overloaded")["prompt"]}, "fault": {"kind": "status"}},
        ],
    }


def _case(name: str) -> dict[str, Any]:
    return CASES[name]


def _reply(contains: str, *, when: dict[str, Any] | None = None, **reply: Any) -> dict[str, Any]:
    return {"when": {"contains": contains, **(when or {})}, "reply": reply}


def _tools() -> list[dict[str, Any]]:
    case, streamed = _case("tools"), _case("tools_streamed")
    name = case["name"]
    call = {"name": name, "input": case["arguments"]}
    both = [{"name": name, "input": {"city": city}} for city in streamed["cities"]]
    return [
        _reply(case["result"], text=case["answer"]),
        _reply(case["prompt"], when={"has_tool": name}, text=case["said"], tool=call),
        _reply(streamed["prompt"], when={"has_tool": name}, tools=both),
    ]


def _forms() -> list[dict[str, Any]]:
    case = _case("structured")
    called = [
        _reply(case["prompt"], when={"has_tool": name}, tool={"name": name, "input": case["value"]})
        for name in FORM_TOOLS
    ]
    text = json.dumps(case["value"], ensure_ascii=False)
    return [*called, _reply(case["prompt"], text=text)]


def _endless() -> list[dict[str, Any]]:
    """Return an answer that goes on, and for each of OpenAI's clients a team that does.

    A team's plan names the client, so that its workers' calls can be told from others'.
    """
    case, team = _case("cancellation"), _case("leaving_a_team")
    pace = {"first_token_seconds": 0, "tokens_per_second": case["tokens_per_second"]}
    endless = {"text": "on and " * case["tokens"], "latency": pace}
    orders = [_reply(case["prompt"], **endless)]
    for client in CASES["openai_clients"]:
        mark = f"({client}, leaving_a_team)"
        orders += [
            _reply(mark, when={"role": "worker"}, **endless),
            _reply(f"{team['prompt']} {mark}", when={"role": "lead"}, tool=_plan(f"Go on. {mark}")),
        ]
    return orders


def _plan(instructions: str) -> dict[str, Any]:
    """Return the lead's call that has a team do this."""
    titles = _case("progress")["subtasks"]
    plan = [
        {"id": title.lower(), "title": title, "instructions": f"{title}: {instructions}"}
        for title in titles
    ]
    return {"name": "delegate", "input": {"subtasks": plan}}


def _numbers() -> list[dict[str, Any]]:
    case = _case("parallel")
    return [
        _reply(
            f"{case['prompt']} {number:03}",
            text=f"{case['answer']} {number:03}.",
            latency=_IN_FLIGHT,
        )
        for number in range(case["count"])
    ]


def _team() -> list[dict[str, Any]]:
    case = _case("progress")
    return [
        _reply(case["prompt"], when={"role": "lead"}, tool=_plan("Describe it in one sentence.")),
        {"when": {"role": "synthesizer"}, "reply": {"text": case["answer"]}},
    ]
