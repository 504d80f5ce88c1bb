"""`orchestrator-worker ask`: the console client before a running service, or one started for it."""

import argparse
import sys

from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.cli import client
from orchestrator_worker.cli.local_service import local_service
from orchestrator_worker.config import Settings, load_settings, process_variable
from orchestrator_worker.observability.logging import configure_logging

SIMULATED = """\
No ANTHROPIC_API_KEY: a simulator of the Claude API answers.
The work is real, the words are not.
"""


def ask(options: argparse.Namespace) -> int:
    """Ask; returns the client's exit code.

    Raises:
        ConfigurationError: a setting or a team file is wrong.
    """
    settings = load_settings()
    if options.base_url or process_variable("ORCHESTRATOR_BASE_URL"):
        known = process_variable("API_BEARER_TOKEN")
        return client.run(options, known or _own_token(settings))
    # Nothing but the answer and its progress: what goes wrong is told by the client.
    configure_logging("CRITICAL", "standard", descriptor=2)
    if settings.simulated and not options.json:
        print(SIMULATED, file=sys.stderr)
    with local_service(settings) as url:
        options.base_url = url
        return client.run(options, _own_token(settings))


def _own_token(settings: Settings) -> str:
    return token_signer(settings).issue("local")
