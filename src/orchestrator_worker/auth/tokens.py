"""Bearer tokens: JSON Web Tokens signed with one shared secret (RFC 7519, HS256/384/512).

A token must say who it is for and when it ends; pyjwt alone would take one that says neither. Also
owns the secret that a development machine makes for itself, so that the first command needs no
configuration.
"""

import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt

from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.clock import utc_now
from orchestrator_worker.errors import ConfigurationError, NotAuthenticated

MAX_TOKEN_BYTES = 8192
LEEWAY = timedelta(seconds=30)
DEFAULT_LIFETIME = timedelta(days=7)
MAX_LIFETIME = timedelta(days=366)
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Issues and checks tokens with one secret."""

    secret: str
    algorithm: str

    def issue(self, subject: str, lifetime: timedelta = DEFAULT_LIFETIME) -> str:
        """Return a token for `subject` that ends after `lifetime`."""
        now = utc_now()
        claims = {"sub": subject, "iat": now, "exp": now + lifetime}
        return jwt.encode(  # pyright: ignore[reportUnknownMemberType] - an optional extra's types
            claims, self.secret, algorithm=self.algorithm
        )

    def verify(self, token: str) -> Principal:
        """Return who the token is for.

        Raises:
            NotAuthenticated: it is forged, expired, too long-lived or incomplete; the same for
                every reason.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise NotAuthenticated
        try:
            claims: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType] - as above
                token,
                self.secret,
                algorithms=[self.algorithm],
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub"], "enforce_minimum_key_length": True},
            )
        # pyjwt lets some malformed claims through as other errors, and numbers as strings.
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError) as error:
            raise NotAuthenticated from error
        if not _bounded(claims["iat"], claims["exp"]) or not claims["sub"]:
            raise NotAuthenticated
        return Principal(claims["sub"])


def _bounded(issued: object, ends: object) -> bool:
    if not isinstance(issued, int | float) or not isinstance(ends, int | float):
        return False
    return ends - issued <= MAX_LIFETIME.total_seconds()


def parse_duration(text: str) -> timedelta:
    """Return a duration such as 7d, 24h, 30m, 3600s or 2w.

    Raises:
        ValueError: it is not one, is zero, or passes a year.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 7d, 24h, 30m, 3600s or 2w")
    amount = int(match[1])
    if not 0 < amount <= MAX_LIFETIME.total_seconds():
        raise ValueError(f"{text!r} is not between a second and {MAX_LIFETIME.days} days")
    duration = timedelta(**{_UNITS[match[2]]: amount})
    if duration > MAX_LIFETIME:
        raise ValueError(f"{text!r} is not between a second and {MAX_LIFETIME.days} days")
    return duration


def development_secret(directory: Path) -> str:
    """Return this machine's own random secret, made on first use in a file only its owner can read.

    Raises:
        ConfigurationError: the file can be neither read nor made.
    """
    file = directory / "jwt-secret"
    try:
        if not file.exists():
            _write_once(file, secrets.token_urlsafe(48))
        return file.read_text("ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: cannot keep the token secret in {str(file)!r} ({error.strerror}); "
            "make DATA_DIR writable or set JWT_SECRET_KEY"
        ) from error


def _write_once(file: Path, text: str) -> None:
    # Linking a finished file makes the first of several starting processes win, whole.
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(text)
        Path(name).chmod(0o600)
        file.hardlink_to(name)
    except FileExistsError:
        pass  # another process was first; its secret holds
    finally:
        Path(name).unlink()
