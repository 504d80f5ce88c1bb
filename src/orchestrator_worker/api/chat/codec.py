"""Events of a run to OpenAI's chat completion objects: frames of a stream, or one object.

The stream's grammar: a chunk with the role; chunks of text, progress and reasoning; a chunk with
the finish reason; the usage chunk if asked for; `[DONE]`. A failure in mid-stream is one error
frame and `[DONE]`. All chunks share id, model and time. Nothing here waits or sends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from orchestrator_worker.api.chat.answer_object import NO_REASON, AnswerObject
from orchestrator_worker.api.chat.progress import for_people, for_programs
from orchestrator_worker.api.chat.report import plan_report, results_report, usage_report
from orchestrator_worker.api.chat.usage import spent, usage_object
from orchestrator_worker.api.errors import error_body
from orchestrator_worker.clock import unix_seconds
from orchestrator_worker.ids import new_id
from orchestrator_worker.orchestration.events import (
    Event,
    RefusalDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from orchestrator_worker.orchestration.run import Run

DONE = b"data: [DONE]\n\n"
HEARTBEAT = "working"
"""Text of the comment that keeps proxies from closing a quiet stream."""

_LINE_ENDS = (
    ("\x85".encode(), rb"\u0085"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def finish_reason(stop_reason: str | None) -> str:
    """Return OpenAI's word for why an answer ended; clients refuse any other."""
    return _FINISH_REASONS.get(stop_reason or "end_turn", "stop")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asked to see besides the answer."""

    usage_chunk: bool = False
    """`stream_options.include_usage`."""
    progress: bool = False
    """Progress for programs."""
    usage_report: bool = False
    """What every agent used, in `orchestration`."""
    results: bool = False
    """What became of every subtask, in `orchestration`."""
    reasoning: bool = True
    """Progress for people, a setting of the team."""
    functions: bool = False
    """Calls in the older form: `function_call` and not `tool_calls`."""


class Codec:
    """Writes one completion."""

    def __init__(self, run: Run, wanted: Wanted) -> None:
        self._run = run
        self._wanted = wanted
        self._answer = AnswerObject(wanted.functions)
        self._head = {
            "id": new_id("chatcmpl", "-"),
            "created": unix_seconds(),
            "model": run.request.team.model_id,
        }
        template = self._chunk({"content": ""})
        # The hot path writes a text chunk as two constants around the JSON of its text.
        self._before, self._after = _frame(template).split(b'"content":""')
        self._before += b'"content":'

    def first(self) -> bytes:
        """Return the frame that opens a stream."""
        return _frame(self._chunk({"role": "assistant", "content": ""}))

    def text(self, text: str) -> bytes:
        """Return the frame of a piece of the answer."""
        return self._before + _json(text) + self._after

    def frames(self, event: Event) -> Iterator[bytes]:
        """Yield the frames of an event that is no piece of the answer; mostly one or none."""
        if isinstance(event, RefusalDelta):
            yield _frame(self._chunk({"refusal": event.text or NO_REASON}))
        elif isinstance(event, ToolCallStarted | ToolCallDelta):
            yield _frame(self._chunk(self._called(event)))
        if self._wanted.reasoning and (line := for_people(event)):
            yield _frame(self._chunk({"reasoning_content": line}))
        if self._wanted.progress and (told := for_programs(event)):
            # Who leaves in mid-run never sees a report, and must know what it has cost so far.
            told["spent"] = spent(self._run)
            yield _frame({**self._chunk({}), "orchestration": told})

    def last(self) -> Iterator[bytes]:
        """Yield the frames that close a stream whose run has finished."""
        last = self._chunk({}, self._finish_reason())
        report = self._report()
        if self._wanted.usage_chunk:
            usage = {**self._chunk(None), "usage": usage_object(self._run)}
            yield _frame(last)
            yield _frame({**usage, **report})
        else:
            yield _frame({**last, **report})
        yield DONE

    def failed(self, error: Exception) -> Iterator[bytes]:
        """Yield the frames that close a stream whose run has failed."""
        report = self._report()
        yield _frame({**error_body(error), **report})
        yield DONE

    def take(self, event: Event) -> None:
        """Take an event of an answer that is sent as one object."""
        self._answer.take(event)

    def completion(self) -> dict[str, Any]:
        """Return the whole answer as one object."""
        choice = {
            "index": 0,
            "message": self._answer.message(),
            "logprobs": None,
            "finish_reason": self._finish_reason(),
        }
        body = {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage_object(self._run),
        }
        return {**body, **self._report()}

    def _called(self, event: ToolCallStarted | ToolCallDelta) -> dict[str, Any]:
        if isinstance(event, ToolCallStarted):
            function = {"name": event.name, "arguments": ""}
            call = {"index": event.index, "id": event.id, "type": "function", "function": function}
        else:
            function = {"arguments": event.partial_json}
            call = {"index": event.index, "function": function}
        return {"function_call": function} if self._wanted.functions else {"tool_calls": [call]}

    def _finish_reason(self) -> str:
        run = self._run
        if run.stop_reason == "refusal" and run.request.form is not None:
            return "stop"  # the message holds the refusal, and clients that parse look there
        if run.stop_reason == "tool_use" and self._wanted.functions:
            return "function_call"
        return finish_reason(run.stop_reason)

    def _report(self) -> dict[str, Any]:
        """Return the `orchestration` field as far as it was asked for; else nothing."""
        run, wanted = self._run, self._wanted
        report: dict[str, Any] = {}
        if run.request.plan_only:
            report |= plan_report(run)
        if wanted.usage_report:
            report |= usage_report(run)
        if wanted.results:
            report |= results_report(run)
        if run.partial and run.request.form is not None:
            report.setdefault("run_id", run.id)
            report.setdefault("partial", True)  # nothing in the answer itself can say so
        return {"orchestration": report} if report else {}

    def _chunk(self, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [] if delta is None else [choice],
        }


def _frame(payload: dict[str, Any]) -> bytes:
    return b"data: " + _json(payload) + b"\n\n"


def _json(value: Any) -> bytes:
    """Return JSON without the characters that some clients take for line ends, against the grammar
    of server-sent events: those are escaped.
    """
    written = orjson.dumps(value)
    if b"\xe2\x80" in written or b"\xc2\x85" in written:
        for character, escape in _LINE_ENDS:
            written = written.replace(character, escape)
    return written
