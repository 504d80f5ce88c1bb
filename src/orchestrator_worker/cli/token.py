"""`orchestrator-worker token`."""

from datetime import timedelta

from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.cli.output import print_json
from orchestrator_worker.clock import utc_now
from orchestrator_worker.config import load_settings


def token(subject: str, lifetime: timedelta, *, as_json: bool) -> int:
    """Print a bearer token.

    Raises:
        ConfigurationError: a setting is wrong, or the secret can be neither read nor made.
    """
    text = token_signer(load_settings()).issue(subject, lifetime)
    if as_json:
        expires_at = (utc_now() + lifetime).isoformat(timespec="seconds")
        print_json({"token": text, "subject": subject, "expires_at": expires_at})
    else:
        print(text)
    return 0
