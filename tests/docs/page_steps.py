"""What a page has its reader do: its blocks as steps for one shell, in order.

Pure text to text. `page_session.py` runs the steps; the functions that begin with `_` in them are
those of its shell (`page_shell.sh`).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.docs.snippets import Block

_ASSIGNMENTS = r"""(?P<assignments>(?:\w+=(?:"[^"]*"|'[^']*'|[^\s"'])*\s+)*)"""
_SERVES = re.compile(
    _ASSIGNMENTS + r"(?:exec )?(?P<command>"
    r"(?:\S*/)?orchestrator-worker (?:serve|simulate)\b(?!.*--help).*"
    r"|(?:\S*/)?scripts/dev\.sh\b(?!.*--help).*"
    r"|docker compose (?:-\S+ \S+ )*up\b(?!.*(?: -d\b| --detach\b| --wait\b)).*"
    r"|docker run (?!.*(?: -d\b| --detach\b)).*)",
    re.DOTALL,
)
_STARTS = re.compile(r"^_served |\bdocker compose .*\bup\b|\bdocker run ", re.MULTILINE)
_LOGICAL_LINE = re.compile(r"(?:[^\n]*\\\n)*[^\n]*\n")
_NEEDS_SERVICE = re.compile(
    r"127\.0\.0\.1:8000|API_BEARER_TOKEN"
    r"|console_client\.py (?!--help)|orchestrator-worker ask (?!--help)"
)
_SUITE = re.compile(r"^scripts/test\.sh\b *(?P<words>[^#\n]*)", re.MULTILINE)
_IMPLIED_SERVICE = (
    ".venv/bin/orchestrator-worker serve\n"
    "export API_BEARER_TOKEN=$(.venv/bin/orchestrator-worker token)\n"
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something the page's shell does."""

    block: Block
    script: str
    wanted: str = ""
    """What this very step must print; it may then end with any exit status. Empty: it must end
    with 0, whatever it prints."""


def steps_of(blocks: list[Block]) -> list[Step]:
    """Return the steps of a page.

    A page that talks to the service before it has started one means the reader's own: it gets one.
    """
    return list(_steps(blocks))


def _steps(blocks: list[Block]) -> Iterator[Step]:
    served = False
    for block in blocks:
        steps = list(_of_block(block))
        serving = any(_STARTS.search(step.script) for step in steps)
        if steps and not (served or serving) and _wants_service(block):
            yield Step(block, _commands(_IMPLIED_SERVICE))
            serving = True
        served = served or serving
        yield from steps


def _wants_service(block: Block) -> bool:
    return is_chat(block) or _NEEDS_SERVICE.search(block.text) is not None


def _of_block(block: Block) -> Iterator[Step]:
    match block.language:
        case "bash" | "sh":
            yield Step(block, _commands(block.text))
        case "python":
            yield Step(block, f".venv/bin/python - {_fed(block.text)}")
        case "console":
            yield from _typed(block)
        case "json" if is_chat(block):
            yield Step(block, f"_send {_fed(block.text)}")
        case _:
            pass


def _fed(text: str) -> str:
    return f"<<'END_OF_THE_BLOCK'\n{text}END_OF_THE_BLOCK\n"


def is_chat(block: Block) -> bool:
    """Whether a block is the body of a chat completion."""
    if block.language != "json" or '"messages"' not in block.text:
        return False
    body = json.loads(block.text)
    return isinstance(body, dict) and {"messages", "model"} <= body.keys()


def _typed(block: Block) -> Iterator[Step]:
    """Yield the commands behind `$ `, each with the output that stands below it.

    They end by themselves, also one that tries to serve and cannot.
    """
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command = _LOGICAL_LINE.match(part)
        assert command, block.place
        yield Step(block, command[0], wanted=part[command.end() :].strip("\n"))


def shown_output(block: Block) -> bool:
    """Whether a block is what the block before it prints, and nothing to be typed."""
    typed = re.search(r"^\$ ", block.text, flags=re.MULTILINE)
    return block.language == "text" or (block.language == "console" and not typed)


def _commands(text: str) -> str:
    """Return the commands with what serves put into the background, and the suite shortened.

    Running the suite from within itself would never end: it is set up, and its tests are collected.
    """
    text = _SUITE.sub(
        lambda it: f"scripts/test.sh --collect-only {it['words'] or 'tests/auth'}", text
    )
    return "".join(map(_in_background, _LOGICAL_LINE.findall(text)))


def _in_background(line: str) -> str:
    serves = _SERVES.fullmatch(re.sub(r"\s+#.*", "", line).strip().removesuffix("&").strip())
    if serves is None:
        return line
    assigned, command = serves["assignments"], serves["command"]
    port = (
        re.search(r"API_PORT=(\d+)", assigned)
        or re.search(r"--port[ =](\d+)", command)
        or re.search(r"--publish[ =]\S*?(\d+):\d+ ", command)
    )
    otherwise = "8100" if " simulate" in command else "$(_default_port)"
    chosen = port[1] if port else otherwise
    return f"_stop {chosen}\n({assigned}exec {command}\n) >$(_log) 2>&1 &\n_served $! {chosen}\n"


def on_other_ports(steps: list[Step], ports: dict[str, str]) -> list[Step]:
    """Return the steps with these ports exchanged."""
    return [replace(step, script=exchanged(step.script, ports)) for step in steps]


def exchanged(text: str, ports: dict[str, str]) -> str:
    """Return a text with these ports exchanged."""
    return re.sub(rf"\b({'|'.join(ports)})\b", lambda it: ports[it[1]], text)
