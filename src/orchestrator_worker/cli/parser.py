"""The words of the command line: what there is to say, and how it is explained. Runs nothing."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import shtab

from orchestrator_worker.auth.tokens import DEFAULT_LIFETIME
from orchestrator_worker.cli.arguments import duration, not_empty, port
from orchestrator_worker.cli.client import add_arguments

PROGRAM = "orchestrator-worker"
DEFAULT_SIMULATOR_PORT = 8100
SHELLS = ("bash", "zsh")

_SETTINGS = (
    "Settings are variables of the environment or of .env in the working directory; "
    f"`{PROGRAM} config` shows them."
)
_CODES = """\
exit codes:
  0    done
  1    failed
  2    a mistake in the words, the settings or the team files
  3    ask: the answer is incomplete
  130  interrupted
  141  nobody reads the output
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what may have been meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to look, and end with 2."""
        print(f"{self.prog}: {_plain(message)}", file=sys.stderr)
        print(f"See {self.prog} --help.", file=sys.stderr)
        sys.exit(2)


def _plain(message: str) -> str:
    """Say of a word that is none of the choices which one it may have been, and where settings
    are.
    """
    if message.startswith("unrecognized arguments: -"):
        return f"{message}; most settings are variables, such as API_PORT ({PROGRAM} config)"
    wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
    if not wrong:
        return message
    choices = re.findall(r"[\w-]+", wrong[2])
    alike = difflib.get_close_matches(wrong[1], choices, n=1)
    return f"there is no {wrong[1]!r}" + (f"; did you mean {alike[0]}?" if alike else "")


def _layout(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=16)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command leaves its name in `command`."""
    parser = Parser(
        prog=PROGRAM,
        description="A team of Claude agents behind one OpenAI-compatible endpoint.",
        epilog=_CODES,
        allow_abbrev=False,
        formatter_class=_layout,
    )
    parser.add_argument(
        "--version", action="store_const", const="version", dest="command", help="like version"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=Parser
    )
    for add in (_serve, _ask, _token, _teams, _config, _doctor, _simulate, _completion, _version):
        add(_adder(commands))
    return parser


def _adder(commands: Any) -> Callable[..., argparse.ArgumentParser]:
    def add(name: str, summary: str, description: str = "") -> argparse.ArgumentParser:
        text = description or f"{summary[0].upper()}{summary[1:]}."
        return commands.add_parser(name, help=summary, description=text, allow_abbrev=False)

    return add


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _serve(add: Callable[..., argparse.ArgumentParser]) -> None:
    serve = add("serve", "serve the HTTP API", f"Serve the HTTP API. {_SETTINGS}")
    serve.add_argument(
        "--reload", action="store_true", help="start again when the code changes (development)"
    )


def _ask(add: Callable[..., argparse.ArgumentParser]) -> None:
    ask = add(
        "ask",
        "ask the team, and watch it work",
        "Ask the team and watch it work. Without --base-url (or ORCHESTRATOR_BASE_URL) a service "
        f"of its own is started for it. {_SETTINGS}",
    )
    add_arguments(ask)


def _token(add: Callable[..., argparse.ArgumentParser]) -> None:
    token = add("token", "print a bearer token for the API")
    token.add_argument(
        "--subject", type=not_empty, default="local", help="who it is for (default: local)"
    )
    token.add_argument(
        "--expires-in",
        type=duration,
        default=DEFAULT_LIFETIME,
        metavar="DURATION",
        help="7d, 24h, 30m, 3600s, 2w (default: 7d)",
    )
    _json(token)


def _teams(add: Callable[..., argparse.ArgumentParser]) -> None:
    teams = add("teams", "list, show and check the teams")
    verbs = teams.add_subparsers(
        title="verbs", metavar="VERB", dest="verb", parser_class=Parser, required=True
    )
    add_verb = _adder(verbs)
    _json(add_verb("list", "list the teams: the models that callers choose from"))
    show = add_verb("show", "show what is in force for a team")
    show.add_argument("team", metavar="TEAM", help="the model that callers name")
    _json(show)
    check = add_verb("check", "check the files of all teams, and say what is wrong")
    folder = check.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="instead of PROMPTS_DIR"
    )
    folder.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue] - shtab's own
    _json(check)


def _config(add: Callable[..., argparse.ArgumentParser]) -> None:
    config = add("config", "show the settings in force, and where each comes from")
    config.add_argument(
        "verb", nargs="?", choices=("show", "check"), default="show", metavar="VERB",
        help="check: name every mistake, and show nothing else",
    )  # fmt: skip
    config.add_argument("--changed", action="store_true", help="leave out what is the default")
    _json(config)


def _doctor(add: Callable[..., argparse.ArgumentParser]) -> None:
    doctor = add(
        "doctor",
        "look for what keeps the service from working, and say what to do",
        "Look at the settings, the key, the models, the teams, the port, the data directory and "
        "the clock, and say what to do. Ends with 1 when something keeps the service from working.",
    )
    _json(doctor)


def _simulate(add: Callable[..., argparse.ArgumentParser]) -> None:
    simulate = add("simulate", "serve a simulator of the Claude Messages API")
    simulate.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    simulate.add_argument(
        "--port",
        type=port,
        default=DEFAULT_SIMULATOR_PORT,
        help=f"port; 0 picks a free one (default: {DEFAULT_SIMULATOR_PORT})",
    )


def _completion(add: Callable[..., argparse.ArgumentParser]) -> None:
    completion = add(
        "completion",
        "print a script that completes these commands in a shell",
        "Print a script that completes these commands in a shell. For bash: "
        f'eval "$({PROGRAM} completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def _version(add: Callable[..., argparse.ArgumentParser]) -> None:
    _json(add("version", "print the version, and what it runs on"))
