"""OpenAI's own types, and the grammar of its streams, as judges of what the service answers:
nothing may be missing, of another type, or there besides our own extensions.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

Json = dict[str, Any]

EXTENSIONS = {
    "ChatCompletion": {"orchestration"},
    "ChatCompletionChunk": {"orchestration"},
    "ChoiceDelta": {"reasoning_content"},
}
"""What may be there that OpenAI does not have, by the name of the type."""
FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
ERROR_KEYS = {"message", "type", "param", "code"}
_HEAD = ("id", "created", "model", "object")


def check_completion(body: Json) -> None:
    """Fail unless this is a whole completion as OpenAI's types have it."""
    completion = ChatCompletion.model_validate(body, strict=True)
    _check_extras(completion)
    (choice,) = body["choices"]
    message = choice["message"]
    assert choice["finish_reason"] in FINISH_REASONS
    # OpenAI's description requires these, though they may be null; its types do not.
    assert {"index", "message", "logprobs", "finish_reason"} <= choice.keys()
    assert {"role", "content", "refusal"} <= message.keys()
    assert body["id"]
    _check_usage(body["usage"])
    calls: list[Json] = message.get("tool_calls") or []
    assert len({call["id"] for call in calls}) == len(calls)
    # A call may be cut by a cap or a refusal, as text may; but none is promised that is not there.
    assert calls or choice["finish_reason"] != "tool_calls"
    assert not calls or choice["finish_reason"] in {"tool_calls", "length", "content_filter"}


def check_stream(frames: Sequence[Json]) -> None:
    """Fail unless these are the frames of one stream, in the order that clients depend on:

    the role first, then deltas, one finish reason, and the usage last; or an error last.
    """
    first = frames[0]
    failed = "error" in frames[-1]
    if failed:
        check_error_frame(frames[-1])
    chunks = frames[:-1] if failed else frames
    for chunk in chunks:
        check_chunk(chunk)
        assert [chunk[key] for key in _HEAD] == [first[key] for key in _HEAD]
    _check_order(chunks, failed)
    _check_calls([choice["delta"] for chunk in chunks for choice in chunk["choices"]])


def check_chunk(chunk: Json) -> None:
    """Fail unless this is a chunk as OpenAI's types have it."""
    _check_extras(ChatCompletionChunk.model_validate(chunk, strict=True))
    assert chunk["id"]
    for choice in chunk["choices"]:
        assert {"index", "delta", "logprobs", "finish_reason"} <= choice.keys()
        assert choice["finish_reason"] in {None, *FINISH_REASONS}
    if chunk.get("usage") is not None:
        _check_usage(chunk["usage"])


def check_error_frame(frame: Json) -> None:
    """Fail unless this ends a stream that has failed."""
    assert frame.keys() <= {"error", "orchestration"}
    check_error(frame["error"])


def check_error(error: Json) -> None:
    """Fail unless this is OpenAI's error object, with all its keys."""
    assert error.keys() == ERROR_KEYS
    assert error["message"]
    assert error["type"]
    assert all(isinstance(error[key], str | None) for key in ERROR_KEYS)


def _check_order(chunks: Sequence[Json], failed: bool) -> None:
    first, *later = chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert not any("role" in delta for chunk in later for delta in _deltas(chunk))
    ends = [at for at, chunk in enumerate(chunks) if _finish_reasons(chunk)]
    if failed:
        assert ends == []
        assert all(chunk["choices"] for chunk in chunks)
        return
    (end,) = ends
    assert _deltas(chunks[end]) == [{}]
    rest = chunks[end + 1 :]
    assert len(rest) <= 1
    assert all(chunk["choices"] == [] and chunk["usage"] is not None for chunk in rest)
    assert all(chunk["choices"] and chunk.get("usage") is None for chunk in chunks[: end + 1])


def _check_calls(deltas: Sequence[Json]) -> None:
    """Each call begins once, with its id and name, in the order of their indexes; then come pieces
    of its arguments, none of which is null.
    """
    begun = 0
    for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
        if call["index"] == begun:
            begun += 1
            assert call.keys() == {"index", "id", "type", "function"}
            assert call["function"].keys() == {"name", "arguments"}
            assert call["id"]
        else:
            assert call["index"] == begun - 1
            assert call.keys() == {"index", "function"}
            assert call["function"].keys() == {"arguments"}
        assert isinstance(call["function"]["arguments"], str)
    functions = [delta["function_call"] for delta in deltas if delta.get("function_call")]
    assert all("name" not in function for function in functions[1:])


def _deltas(chunk: Json) -> list[Json]:
    return [choice["delta"] for choice in chunk["choices"]]


def _finish_reasons(chunk: Json) -> list[str]:
    return [it["finish_reason"] for it in chunk["choices"] if it["finish_reason"] is not None]


def _check_usage(usage: Json) -> None:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]
    hidden = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 <= hidden <= usage["completion_tokens"]


def _check_extras(model: BaseModel) -> None:
    for part in _parts(model):
        extra = set(part.model_extra or {})
        assert extra <= EXTENSIONS.get(type(part).__name__, set()), (type(part).__name__, extra)


def _parts(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, list):
        for member in cast("list[Any]", value):
            yield from _parts(member)
