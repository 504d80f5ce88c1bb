"""Every fenced block of README, docs and examples does what the page says.

What a language means: `bash` and `sh` run, all blocks of a page in one shell; `console` with `$ `
runs, and must print what stands below it, whatever its exit status, or succeed where nothing does;
`python` runs with the
project's environment; a `json` chat request is sent, other JSON is read; `text`, and `console`
without `$ `, is what the block before it prints; `toml` headed by the path of a team file is loaded
as that team. Everything else is in a table below with the reason, or fails.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from orchestrator_worker.config import variable_names
from orchestrator_worker.teams.loader import load_teams
from running_service import settings_from
from tests.docs.page_session import PAGE_SECONDS, Workshop
from tests.docs.page_steps import is_chat, steps_of
from tests.docs.snippets import ROOT, Block, blocks_of, indented_blocks, pages
from tests.docs.teams_shown import teams_shown

RUN = {"bash", "sh", "console", "python", "text"}
READ = {"json", "jsonl", "toml", "yaml", "dotenv"}
DRAWINGS: dict[tuple[str, str], str] = {
    **{
        ("docs/console.md", f'title="{title}"'): "a terminal; tests/docs/test_console_page.py"
        for title in ("half way", "finished", "interrupted", "a conversation")
    },
    ("docs/errors.md", 'title="A stream that fails"'): "test_app.py and others see error frames; "
    "the service answers a deadline before the first text with a status where it can",
}
"""Text blocks that nothing prints, by page and title, and why."""
_DEPLOYMENT = "tests/scripts/test_deployment_page.py"
CHECKED_ELSEWHERE: dict[tuple[str, str], tuple[str, str]] = {
    ("docs/deployment.md", "nginx"): (_DEPLOYMENT, "nginx itself reads it, where there is one"),
    ("docs/deployment.md", "caddyfile"): (_DEPLOYMENT, "caddy itself reads it, where there is one"),
    ("docs/deployment.md", "ini"): (_DEPLOYMENT, "systemd reads it, where there is one"),
}
"""Blocks by page and language that are checked by something else: by which tests, and how."""
STREAMS = {
    "docs/api.md": "answers in a real model's words, where the simulator has its own; their form "
    "is held against the service by tests/api/test_openapi_holds.py",
}
"""Pages whose text blocks are examples of streams: read frame by frame, and not compared."""
INDENTED = {
    "docs/logs.md": "what a person saw at a terminal once; the form is tested with the logs",
}
"""Pages with code that no fence marks, and why."""
UNTAGGED = {
    "docs/benchmarks.md": "its commands run for minutes and print figures of one day and machine: "
    "here their scripts and options are checked",
}
"""Pages with blocks without a language."""
AT_THE_SAME_TIME = 3
WITH_BLOCKS = [page for page in pages() if blocks_of(page)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


def promises(page: str, root: Path = ROOT) -> list[Block]:
    """Return the blocks of a page that are not in a table."""
    return [
        block
        for block in blocks_of(page, root)
        if (page, block.title) not in DRAWINGS
        and (page, block.language) not in CHECKED_ELSEWHERE
        and not (block.language == "" and page in UNTAGGED)
        and not is_stream(block)
    ]


def is_stream(block: Block) -> bool:
    """Whether a block is the example of a stream, which nothing here prints like that."""
    return block.page in STREAMS and block.language == "text" and block.text.startswith("data: {")


def misread(block: Block) -> str | None:
    """Return what is wrong with a block that is only read."""
    try:
        match block.language:
            case "json":
                json.loads(block.text)
            case "jsonl":
                [json.loads(line) for line in block.text.splitlines() if line]
            case "toml":
                tomllib.loads(block.text)
            case "yaml":
                list(yaml.safe_load_all(block.text))
            case "dotenv":
                return _unknown_variable(block)
            case language if language in RUN:
                pass
            case language:
                return f"{block.place}: nobody has said what becomes of {language!r} blocks"
    except (ValueError, yaml.YAMLError) as error:
        return f"{block.place}: {error}"
    return None


def _unknown_variable(block: Block) -> str | None:
    named = set(re.findall(r"^#? ?([A-Z_0-9]+)=", block.text, re.MULTILINE))
    unknown = sorted(named - set(variable_names()))
    return f"{block.place}: no such variables: {unknown}" if unknown else None


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_every_block_can_be_read(page: str) -> None:
    assert [wrong for block in promises(page) if (wrong := misread(block))] == []


@pytest.fixture(scope="module")
def troubles(
    request: pytest.FixtureRequest, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[str]]]]:
    """What is wrong with each page of this session. They run side by side, the longest first: most
    of the time they wait for the simulator to write.
    """
    chosen = {
        str(item.callspec.params["page"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == _RUNS
    }
    with ThreadPoolExecutor(AT_THE_SAME_TIME) as pool:
        yield {
            page: pool.submit(
                workshop.trouble_with, promises(page), tmp_path_factory.mktemp(Path(page).stem)
            )
            for page in sorted(chosen, key=lambda page: -len(steps_of(promises(page))))
        }


# A page has a limit of its own; this one also holds the others' that come before it.
@pytest.mark.timeout(4 * PAGE_SECONDS)
@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if promises(page)])
def test_a_page_does_what_it_says(page: str, troubles: dict[str, Future[list[str]]]) -> None:
    if wrong := troubles[page].result():
        pytest.fail("\n\n".join(wrong), pytrace=False)


_RUNS = test_a_page_does_what_it_says.__name__


def test_every_team_shown_can_be_served(tmp_path: Path) -> None:
    shown = [block for page in WITH_BLOCKS for block in promises(page) if block.language == "toml"]
    for name, text in teams_shown(shown).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "team.toml").write_text(text)
    assert len(load_teams(settings_from(PROMPTS_DIR=str(tmp_path)))) >= 2


def test_no_code_hides_behind_indentation() -> None:
    assert {page for page in pages() if indented_blocks(page)} <= INDENTED.keys()


def test_indented_code_is_told_from_lists_and_fences(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "text\n\n    code\n    more\n\n* item\n\n    of the item\n\n```sh\n\n    fenced\n```\n"
    )
    assert indented_blocks("page.md", tmp_path) == ["code"]


def test_the_tables_name_only_what_there_is() -> None:
    titles = {(block.page, block.title) for page in WITH_BLOCKS for block in blocks_of(page)}
    languages = {(block.page, block.language) for page in WITH_BLOCKS for block in blocks_of(page)}
    assert DRAWINGS.keys() <= titles
    assert CHECKED_ELSEWHERE.keys() <= languages
    assert all((ROOT / tests).is_file() for tests, _ in CHECKED_ELSEWHERE.values())
    assert {(page, "") for page in UNTAGGED} <= languages
    assert all(map(indented_blocks, INDENTED))


def test_the_streams_shown_are_streams() -> None:
    streams = [block for page in STREAMS for block in blocks_of(page) if is_stream(block)]
    assert streams
    for block in streams:
        *frames, last = [line for line in block.text.splitlines() if line]
        assert last == "data: [DONE]", block.place
        for frame in frames:
            told = json.loads(frame.removeprefix("data: "))
            assert "error" in told or told["object"] == "chat.completion.chunk", block.place


def test_the_commands_of_the_benchmarks_exist() -> None:
    commands = [
        line.split()
        for block in blocks_of("docs/benchmarks.md")
        if block.language == ""
        for line in block.text.splitlines()
        if line.startswith(".venv/bin/python ")
    ]
    assert commands
    options: dict[str, set[str]] = {}
    for _, script, *words in commands:
        known = options[script] = options.get(script) or _options_of(script)
        assert {word for word in words if word.startswith("--")} <= known, script


def _options_of(script: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"--[a-z-]+", told))


WRONG_PAGES = {
    "a command that fails": (
        "```bash\ntrue\n```\n```bash\nls /nowhere\n```\n",
        "page.md:4: exit status 2\nls: cannot access",
    ),
    "an unset variable": ('```sh\necho "$NOBODY_SET_THIS"\n```\n', "page.md:1: exit status 1"),
    "other output": ("```bash\necho 3 cats\n```\n```text\n4 dogs\n```\n", "page.md:4: not printed"),
    "another mistake": ("```console\n$ ls /nowhere\nno mistake\n```\n", "page.md:1: not printed"),
    "another mistake, in a quiet command": (
        "```console\n$ ls /nowhere\n$ echo hello\nhello\n```\n",
        "page.md:1: exit status 2",
    ),
    "part of a line": (
        "```bash\necho no error at all\n```\n```text\nerror\n```\n",
        "page.md:4: not printed",
    ),
    "another count": (
        "```bash\necho 0 set\n```\n```text\n31 set\n```\n",
        "page.md:4: not printed",
    ),
    "a line more often than it was printed": (
        "```bash\necho took 1.5 s\n```\n```text\ntook 2.5 s\ntook 3.5 s\n```\n",
        "page.md:4: not printed:\n    took 3.5 s\n",
    ),
    "nothing but what was left out": (
        "```bash\necho hello\n```\n```text\n…\n```\n",
        "page.md:4: not printed",
    ),
    "the log of another step": (
        "```sh\n.venv/bin/orchestrator-worker serve\n```\n```sh\ntrue\n```\n"
        '```text\n…"event":"listening"…\n```\n',
        "page.md:7: not printed",
    ),
    "a mount that compose lacks": (
        "```sh\nsed -i /console_client/d docker-compose.dev.yml\n"
        "docker compose -f docker-compose.yml -f docker-compose.dev.yml up --detach\n```\n",
        "page.md:1: exit status 125",
    ),
    "output of nothing": (
        "```text\nhello\n```\n",
        "page.md:1: shows what nothing before it prints",
    ),
    "a request that fails": (
        "```sh\ncurl http://127.0.0.1:8000/v1/nothing\n```\n",
        "page.md:1: exit status 22",
    ),
    "a stream that fails": (
        "```sh\necho 'data: {\"error\":{}}'\n```\n",
        "page.md:1: the stream ends in an error",
    ),
    "Python that raises": ("```python\nraise KeyError\n```\n", "page.md:1: exit status 1"),
    "a refused request": (
        '```json\n{"model": "none", "messages": []}\n```\n',
        "page.md:1: exit status 22",
    ),
    "an option that docker has not": (
        "```sh\ndocker compose up --forever\n```\n",
        "page.md:1: exit status",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_PAGES)
def test_a_wrong_page_is_found_out(wrong: str, workshop: Workshop, tmp_path: Path) -> None:
    text, complaint = WRONG_PAGES[wrong]
    (tmp_path / "page.md").write_text(text)
    (tmp_path / "run").mkdir()
    complaints = workshop.trouble_with(blocks_of("page.md", tmp_path), tmp_path / "run")
    assert [one.startswith(complaint) for one in complaints] == [True], complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```cobol\nSTOP RUN.\n```\n", "page.md:1: nobody has said"),
        ("```\nwhat is this\n```\n", "page.md:1: nobody has said"),
        ('```json\n{"a":\n```\n', "page.md:1: Expecting value"),
        ("```toml\na = \n```\n", "page.md:1: Invalid value"),
        ("```dotenv\nAPI_PRT=1\n```\n", "page.md:1: no such variables: ['API_PRT']"),
    ],
)
def test_an_unreadable_block_is_found_out(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    (block,) = blocks_of("page.md", tmp_path)
    assert str(misread(block)).startswith(complaint)


def test_a_block_that_is_never_closed_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("text\n\n```bash\ntrue\n")
    with pytest.raises(ValueError, match=r"page\.md:3: the block is never closed"):
        blocks_of("page.md", tmp_path)


def test_what_varies_may_differ_and_nothing_else(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "```bash\n"
        "printf '%s\\n' 'took 1.25 s' 'id req_0123456789abcdef' 'a  b' 'left out here'\n"
        "printf '%s\\n' 'worker  s1    375  34   0  0.42' 'it has 4096 words for $12'\n"
        "```\n"
        "```text\na b\ntook 3 s\nid req_ffffffffffffffff\nleft … here\n…\n"
        "worker  s1   1375   4  40  9.99\nit has 81920 words for $7\n```\n"
    )
    (tmp_path / "run").mkdir()
    assert workshop.trouble_with(blocks_of("page.md", tmp_path), tmp_path / "run") == []


def test_what_is_served_logs_below_its_own_step(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        '```sh\n.venv/bin/orchestrator-worker serve\n```\n```text\n…"event":"listening"…\n…\n```\n'
    )
    (tmp_path / "run").mkdir()
    assert workshop.trouble_with(blocks_of("page.md", tmp_path), tmp_path / "run") == []


def test_a_chat_request_is_told_from_other_json() -> None:
    def block(text: str) -> Block:
        return Block("page.md", 1, "json", "", text)

    assert is_chat(block('{"model": "m", "messages": []}'))
    assert not is_chat(block('{"choices": [{"message": {}}]}'))
    assert not is_chat(block('[{"messages": 1}]'))


def test_the_stand_in_for_docker_runs_the_service_itself(
    workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "page.md").write_text(
        "```sh\ndocker compose up --detach\n"
        "docker compose exec api orchestrator-worker token\n"
        "curl http://127.0.0.1:8000/health/ready\ndocker compose down\n```\n"
        "```console\n$ curl http://127.0.0.1:8000/health\ncurl: (7) Failed to connect…\n```\n"
    )
    (tmp_path / "run").mkdir()
    assert workshop.trouble_with(blocks_of("page.md", tmp_path), tmp_path / "run") == []
