"""What the API's description says of each operation, by its `operationId`.

Responses, headers and examples stand here and not at the routes: a route says what it does, this
says what a caller meets.
"""

from typing import Any

from orchestrator_worker.api.openapi import examples
from orchestrator_worker.api.openapi.completions import STREAM
from orchestrator_worker.api.openapi.errors import error_responses, headers

TAGS = [
    {"name": "chat", "description": "Answers conversations, in the form of OpenAI's API."},
    {"name": "models", "description": "The served models: one per team of agents."},
    {"name": "health", "description": "For probes; without a token and without a rate limit."},
]

ABOUT = """\
A team of Claude agents behind an OpenAI-compatible endpoint: a lead answers at once, or splits the
request into subtasks that workers run in parallel, and a synthesizer writes one answer.

**Tokens.** Everything under `/v1` wants `Authorization: Bearer …`, with a token that
`orchestrator-worker token` prints. **Errors** come in OpenAI's envelope; a path that does not exist
is a 404 whose `code` is null, under a rate limit of its own. **Every response** carries
`X-Request-ID` and `Server-Timing`. **Browsers** on other origins are served where `CORS_ORIGINS`
names them; preflights want no token and count against no limit. The probes' paths also stand with a
slash at their end. What is not HTTP is refused by the server itself, with a plain 400.
"""


def _json(schema: str, shown: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": shown}


def _answer(description: str, schema: str, shown: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": headers(),
        "content": {"application/json": _json(schema, shown)},
    }


_WISHES = {
    "name": "X-Orchestration",
    "in": "header",
    "required": False,
    "description": "What to tell of the run besides its answer, mostly in the extra field "
    "`orchestration`: any of these words, separated by commas. `progress`: each event of the run, "
    "in a stream. `usage`: a report of every agent's tokens, seconds and USD. `results`: what "
    "became of every subtask. `plan`: stop at the plan and return it with its estimated cost; no "
    "worker is started. `quiet`: no lines of progress for people in `delta.reasoning_content`.",
    "schema": {"type": "string"},
    "examples": examples.WISHES,
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of the caller's own for this request, such as a UUID. Sent again with "
    "the same key, the same request gets the answer of the first, for up to 24 hours, and nothing "
    "is run or paid again; errors, broken streams and answers over 8 MB are not kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "0b9d6e1c-6f0d-4a43-9d6c-3f1f0f7f7f55",
}
_MODEL_ID = {
    "name": "model_id",
    "in": "path",
    "required": True,
    "description": "The `id` of a served model.",
    "schema": {"type": "string"},
    "example": examples.SERVED_MODEL["id"],
}
_CHAT_CASES = (
    *("invalid_value", "unsupported_parameter", "not_json", "nothing_to_answer", "unknown_wish"),
    *("invalid_key", "request_in_progress", "key_reused"),
    *("unreadable_file", "too_long_to_read"),
    *("not_authenticated", "model_not_found", "body_too_slow"),
    *("rate_limit", "upstream_rate_limit", "upstream_spend_limit"),
    *("upstream_failed", "upstream_unreachable", "upstream_refuses", "upstream_auth"),
    *("all_workers_failed", "invalid_answer", "overloaded", "phase_timeout", "upstream_silent"),
)

_CHAT: dict[str, Any] = {
    "summary": "Answer a conversation",
    "description": "Answers with the team that `model` names: as one object, or with "
    "`stream: true` in chunks as it is written. The lead answers by itself, or delegates; a "
    "caller that leaves ends the run. Fields of OpenAI's API that would change the answer and are "
    "not supported are refused by name; others are accepted without effect.",
    "parameters": [_WISHES, _KEY],
    "requestBody": {
        "required": True,
        "description": "The conversation, in JSON whatever the content type says.",
        "content": {"application/json": _json("ChatCompletionRequest", examples.REQUESTS)},
    },
    "responses": {
        "200": {
            "description": "The answer: one object, or with `stream: true` a stream of chunks.",
            "headers": headers("Idempotent-Replayed"),
            "content": {
                "application/json": _json("ChatCompletion", examples.COMPLETIONS),
                "text/event-stream": {
                    "schema": {"type": "string", "description": STREAM},
                    "examples": examples.STREAMS,
                },
            },
        },
        **error_responses(_CHAT_CASES),
    },
}
_READY = "Asks what a request would need; the model provider at most once in five seconds."

OPERATIONS: dict[str, dict[str, Any]] = {
    "createChatCompletion": _CHAT,
    "listModels": {
        "summary": "List the served models",
        "description": "Each team of agents is a model; its `id` is what goes into `model`.",
        "responses": {
            "200": _answer("The models.", "ServedModels", examples.MODELS),
            **error_responses(("not_authenticated", "rate_limit")),
        },
    },
    "retrieveModel": {
        "summary": "Look up one served model",
        "description": "Shares its rate limit with the list.",
        "parameters": [_MODEL_ID],
        "responses": {
            "200": _answer("The model.", "ServedModel", examples.MODEL),
            **error_responses(("not_authenticated", "model_not_found", "rate_limit")),
        },
    },
    "checkHealth": {
        "summary": "Tell whether the process is alive",
        "description": "Asks nobody else.",
        "security": [],
        "responses": {
            "200": _answer("It is alive.", "Health", examples.HEALTH),
            **error_responses(()),
        },
    },
    "checkReadiness": {
        "summary": "Tell whether a request sent now could be answered",
        "description": _READY,
        "security": [],
        "responses": {
            "200": _answer("It could.", "Readiness", examples.READY),
            **error_responses(()),
            "503": _answer("It could not; `checks` says why.", "Readiness", examples.NOT_READY),
        },
    },
}
