"""Prints a bearer token for the API, like `orchestrator-worker token`, for scripts that must choose
the secret.

    scripts/generate_jwt.py --subject alice [--expires-in 7d|24h|30m|3600s|2w] [--secret …]
        [--algorithm HS256]

Secret and algorithm come from the environment or .env unless given. Exit codes: 0 printed, 1 the
token could not be made, 2 a mistake in the words. Run it with the project's Python:
.venv/bin/python scripts/generate_jwt.py
"""

import argparse
import sys
from dataclasses import replace

from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.auth.tokens import DEFAULT_LIFETIME, TokenSigner
from orchestrator_worker.cli.arguments import duration, not_empty
from orchestrator_worker.config import MIN_SECRET_BYTES, load_settings
from orchestrator_worker.errors import ConfigurationError


def main() -> int:
    """Print the token; returns the exit code."""
    options = _parser().parse_args()
    try:
        signer = _signer(options.secret, options.algorithm)
    except ConfigurationError as error:
        print(f"generate_jwt: {error}", file=sys.stderr)
        return 1
    print(signer.issue(options.subject, options.expires_in))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Print a bearer token for the API.")
    parser.add_argument("--subject", required=True, type=not_empty, help="who the token is for")
    parser.add_argument(
        "--expires-in",
        type=duration,
        default=DEFAULT_LIFETIME,
        metavar="DURATION",
        help="7d, 24h, 30m, 3600s, 2w (default: 7d)",
    )
    parser.add_argument("--secret", help="instead of JWT_SECRET_KEY; others can see it in ps")
    parser.add_argument(
        "--algorithm", choices=("HS256", "HS384", "HS512"), help="instead of JWT_ALGORITHM"
    )
    return parser


def _signer(secret: str | None, algorithm: str | None) -> TokenSigner:
    settings = load_settings()
    if secret is None:
        signer = token_signer(settings)
        return replace(signer, algorithm=algorithm or signer.algorithm)
    algorithm = algorithm or settings.auth.algorithm
    if len(secret.encode()) < MIN_SECRET_BYTES[algorithm]:
        least = MIN_SECRET_BYTES[algorithm]
        raise ConfigurationError(f"--secret must have at least {least} bytes for {algorithm}")
    return TokenSigner(secret, algorithm)


if __name__ == "__main__":
    sys.exit(main())
