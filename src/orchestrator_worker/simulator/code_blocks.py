"""Fenced code in a text: taking it out of the prose, and saying what is true about it.

Owns only what can be read off: lines, changed lines, names. Judges nothing. Stands at the bottom,
beside `wording`.
"""

import re
from dataclasses import dataclass

from orchestrator_worker.simulator.wording import listed

MAX_NAMES = 5
MIN_LINE = 8
MAX_LINE = 100
"""Characters of a line that can be quoted."""
_ACRONYM = 3
"""Characters up to which the name of a language is written in capitals."""
_FENCE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#-]*)[^\n]*\n(?P<text>.*?)"
    r"(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_DEFINED = re.compile(
    r"\b(?:def|class|function|func|fn|struct|enum|interface|trait|module)\s+([A-Za-z_]\w*)"
)
_CHANGED_FILE = re.compile(r"^\+\+\+ (?:b/)?(\S+)", re.MULTILINE)
_HUNK = re.compile(r"^@@ .*@@|^diff --git ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block."""

    language: str
    text: str

    @property
    def is_diff(self) -> bool:
        """Whether it shows changes, and not code as it stands."""
        return self.language.lower() in ("diff", "patch") or bool(_HUNK.search(self.text))

    @property
    def added(self) -> list[str]:
        """The lines that a diff adds."""
        return [line for line in self._lines if line[:1] == "+" and line[:3] != "+++"]

    @property
    def removed(self) -> list[str]:
        """The lines that a diff removes."""
        return [line for line in self._lines if line[:1] == "-" and line[:3] != "---"]

    @property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    def described(self, view: int = 0, views: int = 1) -> str:
        """What is true about it, in sentences. Each of several views quotes another line."""
        if not self.is_diff:
            said, lines, kind = self._of_code(), self._lines, ""
        else:
            said, lines = self._of_diff(), self.added or self.removed
            kind = "added " if self.added else "removed "
        fit = _quotable(lines)
        if not fit:
            return said
        line = fit[view * max(1, len(fit) // views) % len(fit)]
        return f"{said} One of the {kind}lines is `{line}`."

    def _of_diff(self) -> str:
        files = [f"`{name}`" for name in dict.fromkeys(_CHANGED_FILE.findall(self.text))]
        names = _names("\n".join([*self.added, *self.removed]))
        return (
            f"The diff{f' of {listed(files)}' if files else ''} adds {_count(self.added)}"
            f" and removes {len(self.removed) or 'none'}{f'; it touches {names}' if names else ''}."
        )

    def _of_code(self) -> str:
        names = _names(self.text)
        kind = f"{_spelled(self.language)} code" if self.language else "code"
        defines = f" and defines {names}" if names else ""
        return f"The {kind} has {_count(self._lines)}{defines}."


def code_blocks(text: str) -> list[CodeBlock]:
    """The fenced blocks of a text that hold something."""
    found = (CodeBlock(match["language"], match["text"]) for match in _FENCE.finditer(text))
    return [block for block in found if block.text.strip()]


def without_code(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("\n", text)


def _count(lines: list[str]) -> str:
    return "one line" if len(lines) == 1 else f"{len(lines)} lines"


def _names(text: str) -> str:
    names = [f"`{name}`" for name in dict.fromkeys(_DEFINED.findall(text))]
    return listed(names[:MAX_NAMES]) if names else ""


def _spelled(language: str) -> str:
    return language.upper() if len(language) <= _ACRONYM else language.capitalize()


def _quotable(lines: list[str]) -> list[str]:
    bare = dict.fromkeys(line.lstrip("+- \t").strip() for line in lines)
    return [line for line in bare if MIN_LINE <= len(line) <= MAX_LINE and "`" not in line]
