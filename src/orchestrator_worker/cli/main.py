"""The command line: parses words, calls what does the work, and turns mistakes into one line and an
exit code.

Exit codes: 0 done, 1 failed while running, 2 a mistake in the words, the settings or the team
files.
"""

import argparse
import sys
from collections.abc import Sequence

from orchestrator_worker import __version__
from orchestrator_worker.auth.tokens import DEFAULT_LIFETIME
from orchestrator_worker.cli.arguments import duration, not_empty
from orchestrator_worker.errors import ConfigurationError

DEFAULT_SIMULATOR_PORT = 8100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            print(f"orchestrator-worker: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orchestrator-worker",
        description="A team of Claude agents behind one OpenAI-compatible endpoint.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "serve",
        help="serve the HTTP API",
        description="Serve the HTTP API. Its settings are variables of the environment or of "
        ".env in the working directory, such as API_HOST and API_PORT; see .env.example.",
    )
    serve.set_defaults(run=_serve)

    token = commands.add_parser("token", help="print a bearer token for the API")
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
    token.set_defaults(run=_token)

    simulate = commands.add_parser("simulate", help="serve a simulator of the Claude Messages API")
    simulate.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    simulate.add_argument(
        "--port",
        type=int,
        default=DEFAULT_SIMULATOR_PORT,
        help=f"port; 0 picks a free one (default: {DEFAULT_SIMULATOR_PORT})",
    )
    simulate.set_defaults(run=_simulate)
    return parser


# The commands import what they need: `token` must not wait for the web framework or the SDK.
def _serve(_options: argparse.Namespace) -> int:
    from orchestrator_worker.cli.serve import serve

    return serve()


def _token(options: argparse.Namespace) -> int:
    from orchestrator_worker.auth.signing import token_signer
    from orchestrator_worker.config import load_settings

    print(token_signer(load_settings()).issue(options.subject, options.expires_in))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from orchestrator_worker.simulator.server import serve

    serve(options.host, options.port)
    return 0
