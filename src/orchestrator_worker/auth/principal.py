"""The authenticated caller."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody a token was issued to; limits and logs go by `subject`."""

    subject: str
