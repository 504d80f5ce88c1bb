"""Types of command line words, for argparse: what is wrong with a word is said where it stands."""

import argparse
from datetime import timedelta

from orchestrator_worker.auth.tokens import parse_duration


def not_empty(text: str) -> str:
    """Return the word, which must say something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def duration(text: str) -> timedelta:
    """Return a duration such as 7d, 24h or 30m."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port(text: str) -> int:
    """Return a port."""
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return int(text)
