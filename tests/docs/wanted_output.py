"""Output that a page shows, against what was really printed: only what can vary may differ."""

import re

_VARYING = [
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "TOKEN"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d| UTC)?"), "TIME"),
    (re.compile(r"\b(req|run|msg|chatcmpl)[_-][0-9a-f]+"), r"\1-ID"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "HASH"),
    (re.compile(r"\d+(\.\d+)?"), "#"),
    (re.compile(r"\s+"), " "),
]
_LEFT_OUT = re.compile(r"…|\.\.\.")


def missing_lines(wanted: str, printed: str) -> list[str]:
    """Return the wanted lines that were not printed.

    Numbers, times, ids, tokens and spacing may differ, and so may the order of lines, since
    workers end when they end. `…` stands for anything that was left out.
    """
    seen = _plain(printed)
    return [line for line in wanted.splitlines() if line.strip() and not _stands_in(line, seen)]


def _stands_in(line: str, seen: str) -> bool:
    kept = [re.escape(_plain(part).strip()) for part in _LEFT_OUT.split(line)]
    return re.search(".*".join(kept), seen) is not None


def _plain(text: str) -> str:
    for varying, stands_for in _VARYING:
        text = varying.sub(stands_for, text)
    return text
