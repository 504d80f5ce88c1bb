"""Identifiers: random, prefixed by what they name, safe in headers, logs and URLs. A leaf."""

import secrets


def new_id(prefix: str, separator: str = "_") -> str:
    """Return `prefix_` and 24 hex digits (96 random bits), as in `run_1f0c…`."""
    return f"{prefix}{separator}{secrets.token_hex(12)}"


def new_nonce() -> str:
    """Return 12 hex digits that untrusted text cannot guess, for the tags around it."""
    return secrets.token_hex(6)
