"""`orchestrator-worker ask`: the console client before a running service, or one started for it."""

import argparse
import sys
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.cli import client
from orchestrator_worker.config import Settings, load_settings, process_variable
from orchestrator_worker.observability.logging import configure_logging

TOKEN_LIFETIME = timedelta(hours=1)
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
    base_url = options.base_url or process_variable("ORCHESTRATOR_BASE_URL")
    if base_url:
        known = process_variable("API_BEARER_TOKEN")
        own = _own_token(settings) if _is_here(base_url) else None
        return client.run(options, known or own)
    # Nothing but the answer and its progress: what goes wrong is told by the client.
    configure_logging("CRITICAL", "standard", descriptor=2)
    if settings.simulated and not options.json:
        print(SIMULATED, file=sys.stderr, end="")
    # Read only now: it brings the framework along, and takes seconds.
    from orchestrator_worker.cli.local_service import local_service

    with local_service(settings) as url:
        options.base_url = url
        return client.run(options, _own_token(settings))


def _is_here(base_url: str) -> bool:
    """Whether it is this machine: nobody else is given what is signed with our secret."""
    try:
        host = urlsplit(base_url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _own_token(settings: Settings) -> str:
    return token_signer(settings).issue("local", TOKEN_LIFETIME)
