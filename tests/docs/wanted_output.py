"""Output that a page shows, against what was really printed: only what can vary may differ."""

import re

_VARYING = [
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "TOKEN"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d| UTC)?"), "TIME"),
    (re.compile(r"\b(req|run|msg|chatcmpl)[_-][0-9a-f]+"), r"\1-ID"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "HASH"),
    # Figures: decimals, what has a unit, the columns of a table, and what is large.
    (re.compile(r"\b\d+\.\d+(e-\d+)?\b"), "#"),
    (re.compile(r"\$\d+|\b\d+(?= (?:tokens|s|ms|seconds)\b)"), "#"),
    (re.compile(r"(?:(?<=  )[\d#]+ *){3,}$"), "FIGURES"),
    (re.compile(r"\b\d{4,}\b"), "#"),
    (re.compile(r"\s+"), " "),
]
_LEFT_OUT = re.compile(r"…|\.\.\.")


def missing_lines(wanted: str, printed: str) -> list[str]:
    """Return the wanted lines that were not printed, each as a whole line of its own.

    Times, ids, tokens, figures and spacing may differ; a whole number below 1000 that has no unit
    is a count, a status or a place, and may not. The order of lines may differ, since workers end
    when they end, and more may have been printed than is shown. `…` stands for anything that was
    left out of a line; alone on one, for lines. Something else must be shown, though.
    """
    lines = [line for line in wanted.splitlines() if line.strip()]
    telling = [line for line in lines if _LEFT_OUT.sub("", line).strip()]
    unseen = [_plain(line) for line in printed.splitlines()]
    # The line that leaves nothing open chooses first, for it has the smallest choice.
    missing = {
        line
        for line in sorted(telling, key=lambda line: len(_LEFT_OUT.findall(line)))
        if not _taken(line, unseen)
    }
    return [line for line in telling if line in missing] if telling else lines


def _taken(line: str, unseen: list[str]) -> bool:
    """Take the line out of those that no other wanted line stands for; say whether it was there."""
    kept = ".*".join(re.escape(_plain(part)) for part in _LEFT_OUT.split(line.strip()))
    found = next((place for place, it in enumerate(unseen) if re.fullmatch(kept, it)), None)
    if found is not None:
        del unseen[found]
    return found is not None


def _plain(text: str) -> str:
    for varying, stands_for in _VARYING:
        text = varying.sub(stands_for, text)
    return text.strip()
