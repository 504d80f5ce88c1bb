"""What each event says to a person. An event that is not here reads `name key=value …`.

Knows the names and keys that docs/logs.md lists, and nothing of how lines are laid out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

Event = Mapping[str, Any]

_ORDINARY_COLUMNS = 85
"""A line of 100 without time and level."""
_SHORT_ID_CHARS = 6
_LONGEST_VALUE_CHARS = 60
_MIN_PATH_CHARS = 20
"""What is shown of the longest path in any case: all of those that are served."""
_CONTEXT = frozenset(("event", "logger", "request_id", "run_id", "principal"))


def in_words(event: Event) -> str:
    """Return the event as a sentence, where it has one."""
    says = _SENTENCES.get(str(event.get("event")))
    return says(event) if says else _listed(event)


def visible(text: str) -> str:
    """Return the text with everything escaped that could move a cursor or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def below(event: Event) -> Sequence[str]:
    """Return what deserves lines of its own."""
    if event.get("event") == "listening":
        return ("`orchestrator-worker token` prints a token.",)
    problems = event.get("problems")
    return cast("list[str]", problems) if isinstance(problems, list) else ()


def _listed(event: Event) -> str:
    shown = [f"{key}={_short(value)}" for key, value in event.items() if key not in _CONTEXT]
    head = " ".join(str(event.get("event", "")).split())
    return " ".join([head, *shown, *_whose(event)])


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE_CHARS else text[: _LONGEST_VALUE_CHARS - 1] + "…"


def _request_finished(event: Event) -> str:
    seconds = _seconds(event)
    told = [
        f"{event.get('status') or 'no status'} {seconds}",
        _outcome(event),
        _route(event),
        _tokens(event),
        _usd(event),
        " ".join([str(event.get("principal") or ""), *_whose(event)]).strip(),
    ]
    rest = ", ".join(part for part in told if part)
    room = _ORDINARY_COLUMNS - len(rest) - len(event.get("method", "")) - 2
    return f"{event.get('method')} {_shortened(visible(event.get('path', '')), room)} {rest}"


def _shortened(path: str, room: int) -> str:
    room = max(room, _MIN_PATH_CHARS)
    return path if len(path) <= room else path[: room - 1] + "…"


def _outcome(event: Event) -> str:
    outcome, status = event.get("outcome"), event.get("status") or 0
    plain = outcome == "ok" or (outcome == "refused" and status >= 400)
    about = [event.get("error_code") or "", event.get("error_param") or ""]
    refusal = " ".join(visible(str(it)) for it in about if it)
    return refusal if plain else str(outcome)


def _route(event: Event) -> str:
    route = event.get("route")
    if not event.get("subtasks"):
        return route or ""
    missing = "" if not event.get("partial") else " partial"
    return f"{route} {event.get('subtasks_succeeded')}/{event.get('subtasks')}{missing}"


def _attempt(event: Event) -> str:
    who = " ".join(filter(None, (event.get("role"), event.get("subtask_id"), event.get("model"))))
    number = event.get("attempt", 1)
    which = f" (attempt {number})" if number > 1 else ""
    why = f", {event['reason']}" if event.get("reason") else ""
    spent = ", ".join(filter(None, (_seconds(event), _tokens(event), _usd(event))))
    purpose = f", {event['purpose']}" if event.get("purpose") else ""
    whose = "".join(f", {it}" for it in _whose(event))
    return f"  {who}{which} {event.get('outcome')}{why}, {spent}{purpose}{whose}"


def _seconds(event: Event) -> str:
    seconds = (event.get("milliseconds") or 0) / 1000
    return f"{seconds:.3f}s" if seconds < 0.1 else f"{seconds:.1f}s"


def _tokens(event: Event) -> str:
    kinds = ("input", "output", "cache_read_input", "cache_creation_input")
    if "output_tokens" not in event:
        return ""
    total = sum(event.get(f"{kind}_tokens") or 0 for kind in kinds)
    return f"{total / 1000:.1f}k tokens" if total >= 1000 else f"{total} tokens"


def _usd(event: Event) -> str:
    if "cost_usd" not in event:
        return ""
    cost = event["cost_usd"]
    if cost is None:
        return "$ unknown"
    if not cost:
        return "$0"
    return f"${cost:.2f}" if cost >= 1 else f"${float(f'{cost:.2g}'):.6f}".rstrip("0")


def _whose(event: Event) -> list[str]:
    request_id = event.get("request_id")
    return [str(request_id).removeprefix("req_")[:_SHORT_ID_CHARS]] if request_id else []


def _simulated(_event: Event) -> str:
    return "No ANTHROPIC_API_KEY: a simulator answers instead of Claude."


def _listening(event: Event) -> str:
    return f"Listening on {event.get('url')}"


def _stopping(event: Event) -> str:
    count, seconds = event.get("open_requests"), event.get("grace_seconds")
    open_ones = f"{count} open request{'s' * (count != 1)}, at most {seconds} s"
    return f"Stopping: {open_ones}" if count else "Stopping"


def _stopped(_event: Event) -> str:
    return "Stopped"


def _deprecated(event: Event) -> str:
    when = f"retires on {event['retires_at']}" if event.get("retires_at") else "will be retired"
    return f"The model {event.get('model')} {when}: configure another before."


def _unknown_model(event: Event) -> str:
    return f"The upstream knows no model {event.get('model')}: check its name in the team's files."


def _not_checked(event: Event) -> str:
    return f"Models not checked ({event.get('reason')}): see GET /health/ready for the upstream."


def _reloaded(event: Event) -> str:
    return f"Teams read again: {', '.join(map(str, event.get('teams') or ()))}."


def _not_reloaded(event: Event) -> str:
    last = "the teams read before stay in force. Mend this:"
    only = "" if isinstance(event.get("problems"), list) else f" {event.get('problems')}"
    return f"Teams not read again, {last}{only}"


def _without_effect(event: Event) -> str:
    return f"The setting {event.get('variable')} {event.get('reason')}"


def _switched_off(event: Event) -> str:
    return f"{event.get('model')} refused {event.get('feature')!r}: done without from now on."


def _dropped(event: Event) -> str:
    return f"{event.get('lines')} log lines dropped here: nobody read them, or there was no space."


def _about_request(words: str) -> Callable[[Event], str]:
    """Return words followed by what tells this time from another."""

    def says(event: Event) -> str:
        told = [event[key] for key in ("subtask_id", "reason") if event.get(key)]
        about = ", ".join(map(str, [*told, *_whose(event)]))
        return f"{words} ({about})" if about else words

    return says


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "request_finished": _request_finished,
    "upstream_attempt": _attempt,
    "listening": _listening,
    "stopping": _stopping,
    "stopped": _stopped,
    "simulated": _simulated,
    "model_deprecated": _deprecated,
    "model_not_known_upstream": _unknown_model,
    "models_not_checked": _not_checked,
    "teams_reloaded": _reloaded,
    "teams_not_reloaded": _not_reloaded,
    "setting_without_effect": _without_effect,
    "feature_switched_off": _switched_off,
    "log_lines_dropped": _dropped,
    "lead_slow": _about_request("  The lead is slow to begin; the stream was opened meanwhile"),
    "plan_repaired": _about_request("  The plan was repaired"),
    "warm_up_failed": _about_request("  The cache was not written beforehand"),
    "results_not_scored": _about_request("  Results were not scored"),
    "worker_crashed": _about_request("A bug in a worker cost its part of the answer"),
    "run_crashed": _about_request("A bug ended a run"),
    "request_crashed": _about_request("A bug ended a request"),
}
