"""The command line: calls what does the work, and turns mistakes into one line and an exit code.

Exit codes: 0 done, 1 failed while running, 2 a mistake in the words, the settings or the team
files; those of `ask` are its client's.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator_worker.cli.parser import PROGRAM, build_parser
from orchestrator_worker.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _ready_streams()
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = _COMMANDS[options.command](options)
        sys.stdout.flush()
    except ConfigurationError as error:
        for line in str(error).splitlines():
            print(f"{PROGRAM}: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return 130
    return code


def _ready_streams() -> None:
    """Make standard streams that were closed lead nowhere, and have all take every character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _failed(error: OSError) -> int:
    """Tell what the system refused; a reader who has left needs no words."""
    # What is still buffered must not fail again while the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 141
    print(f"{PROGRAM}: {error.strerror or error}", file=sys.stderr)
    return 1


# The commands import what they need: `token` must not wait for the web framework or the SDK.
def _serve(options: argparse.Namespace) -> int:
    if options.reload:
        from orchestrator_worker.cli.reloading import serve_reloading

        return serve_reloading()
    from orchestrator_worker.config import load

    loaded = load()
    loaded.accepted()  # a mistake is told at once, not after the framework has been read
    from orchestrator_worker.cli.serve import serve

    return serve(loaded)


def _ask(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.ask import ask

    return ask(options)


def _token(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.token import token

    return token(options.subject, options.expires_in, as_json=options.json)


def _teams(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli import teams

    if options.verb == "show":
        return teams.show_team(options.team, as_json=options.json)
    if options.verb == "check":
        return teams.check_teams(options.folder, as_json=options.json)
    return teams.list_teams(as_json=options.json)


def _config(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.config import check_config, show_config

    if options.verb == "check":
        return check_config(as_json=options.json)
    return show_config(only_changed=options.changed, as_json=options.json)


def _doctor(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.doctor import doctor

    return doctor(as_json=options.json)


def _simulate(options: argparse.Namespace) -> int:
    from orchestrator_worker.simulator.server import serve

    try:
        serve(options.host, options.port)
    except (OSError, UnicodeError) as error:
        place = f"{options.host}:{options.port}"
        raise ConfigurationError(f"cannot listen on {place} ({error})") from error
    return 0


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(build_parser(), options.shell))
    return 0


def _version(options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.version import version

    return version(as_json=getattr(options, "json", False))


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "ask": _ask,
    "token": _token,
    "teams": _teams,
    "config": _config,
    "doctor": _doctor,
    "simulate": _simulate,
    "completion": _completion,
    "version": _version,
}
