"""The command `llm`, run as people run it, with a model of its own in extra-openai-models.yaml."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from suite import (
    API_KEY,
    BASE_URL,
    CASES,
    MODEL,
    UNKNOWN_MODEL,
    NotOfferedError,
    Suite,
    cut_short,
    ended_early,
    image_arrived,
    png,
    same,
    same_usage,
    went_on,
)

suite = Suite(
    "llm",
    "llm",
    not_offered={"parallel": "llm runs every prompt in a process of its own"},
)
LLM = str(Path(sys.executable).with_name("llm"))
TOOL = CASES["tools"]
FORM = CASES["structured"]
MODELS = f"""\
- model_id: team
  model_name: {MODEL}
  api_base: {BASE_URL}
  api_key_name: team
  vision: true
  supports_schema: true
  supports_tools: true
- model_id: unknown
  model_name: {UNKNOWN_MODEL}
  api_base: {BASE_URL}
  api_key_name: team
"""
FUNCTION = f'''
def {TOOL["name"]}(city: str) -> str:
    """{TOOL["description"]}"""
    with open("asked_for.txt", "a") as file:
        print(city, file=file)
    return "{TOOL["result"]}"
'''
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "degrees": {"type": "integer"},
            "words": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["city", "degrees", "words"],
        "additionalProperties": False,
    }
)
HOME = Path.cwd()
ENVIRONMENT = {**os.environ, "LLM_USER_PATH": str(HOME / "llm")}


def set_up() -> None:
    """Write the settings that the page shows."""
    (HOME / "llm").mkdir()
    (HOME / "llm" / "extra-openai-models.yaml").write_text(MODELS)
    run("keys", "set", "team", "--value", API_KEY)


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which must be this one."""
    done = subprocess.run(
        [LLM, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done


def prompt(*words: str, model: str = "team", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Ask one thing."""
    return run("prompt", "-m", model, *words, code=code)


def started(*words: str) -> subprocess.Popen[str]:
    """Ask one thing whose answer is read as it comes."""
    return subprocess.Popen(
        [LLM, "prompt", "-m", "team", *words],
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@suite.case
def plain() -> str:
    done = prompt(suite.prompt("plain"), "--no-stream")
    same(done.stdout, CASES["plain"]["answer"] + "\n")
    return "`--no-stream`"


@suite.case
def streamed() -> str:
    same(prompt(suite.prompt("streamed", like="plain")).stdout, CASES["plain"]["answer"] + "\n")
    logged = json.loads(run("logs", "list", "--json", "-n", "1").stdout)
    same(logged[0]["response"], CASES["plain"]["answer"])
    return "its default"


@suite.case
def conversation() -> str:
    prompt(suite.prompt("conversation", like="progress"))
    done = prompt(suite.prompt("conversation", like="plain"), "--continue")
    same(done.stdout, CASES["plain"]["answer"] + "\n")
    return went_on(suite.mark("conversation"))


@suite.case
def usage() -> str:
    done = prompt(suite.prompt("usage", like="plain"), "--usage")
    told = re.search(r"([\d,]+) input, ([\d,]+) output", done.stderr)
    assert told, done.stderr
    tokens_in, tokens_out = (int(number.replace(",", "")) for number in told.groups())
    return same_usage(suite.mark("usage"), tokens_in, tokens_out, tokens_in + tokens_out)


def _with_tool(case: str, *words: str) -> tuple[list[str], str]:
    """Return what the tool was called with, and what was written."""
    asked_for = HOME / "asked_for.txt"
    asked_for.unlink(missing_ok=True)
    done = prompt(suite.prompt(case), "--functions", FUNCTION, *words)
    return sorted(asked_for.read_text("utf-8").split()), done.stdout.strip()


@suite.case
def tools() -> str:
    cities, said = _with_tool("tools", "--no-stream")
    same(cities, sorted(TOOL["arguments"]["city"].split()))
    same(said, f"{TOOL['said']} {TOOL['answer']}")
    return f"called with {cities}"


@suite.case
def tools_streamed() -> str:
    cities, said = _with_tool("tools_streamed")
    same(cities, sorted(" ".join(CASES["tools_streamed"]["cities"]).split()))
    same(said, TOOL["answer"])
    return f"called with {cities}"


@suite.case
def structured() -> str:
    done = prompt(suite.prompt("structured"), "--schema", SCHEMA)
    same(json.loads(done.stdout), FORM["value"])
    return "`--schema`, streamed"


@suite.case
def image() -> str:
    picture = HOME / "picture.png"
    picture.write_bytes(png())
    done = prompt(suite.prompt("image"), "-a", str(picture))
    same(done.stdout, CASES["image"]["answer"] + "\n")
    return image_arrived(suite.mark("image"))


@suite.case
def unknown_model() -> str:
    done = prompt("?", model="unknown", code=1)
    assert UNKNOWN_MODEL in done.stderr, done.stderr
    assert "404" in done.stderr, done.stderr
    return f"exit code 1, {done.stderr.strip()}"


@suite.case
def bad_parameter() -> str:
    done = prompt("?", "-o", "max_tokens", "-1", code=1)
    assert "max_tokens" in done.stderr, done.stderr
    return f"exit code 1, {done.stderr.strip()}"


@suite.case
def error_in_stream() -> str:
    done = prompt(suite.prompt("error_in_stream"), code=1)
    cut_short([done.stdout.strip()])
    assert done.stderr.startswith("Error: "), done.stderr
    return f"exit code 1, {done.stderr.strip()}"


@suite.case
async def cancellation() -> str:
    process = started(suite.prompt("cancellation"))
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.read, 1)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.communicate)
    assert process.returncode != 0
    return await ended_early(suite.mark("cancellation"))


@suite.case
def progress() -> str:
    done = prompt(suite.prompt("progress"))
    same(done.stdout, CASES["progress"]["answer"] + "\n")
    same(done.stderr, "")
    raise NotOfferedError("llm leaves progress out")


set_up()
suite.run()
