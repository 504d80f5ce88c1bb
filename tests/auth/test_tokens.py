"""Tokens and the secret that a development machine makes for itself."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.auth.tokens import TokenSigner, development_secret, parse_duration
from orchestrator_worker.errors import ConfigurationError, NotAuthenticated
from running_service import settings_from


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_names_its_subject(algorithm: str) -> None:
    signer = TokenSigner("s" * 64, algorithm)
    assert signer.verify(signer.issue("alice")).subject == "alice"


def test_a_token_ends_after_its_lifetime_and_the_leeway() -> None:
    signer = TokenSigner("s" * 64, "HS256")
    assert signer.verify(signer.issue("alice", timedelta(seconds=-20)))
    with pytest.raises(NotAuthenticated):
        signer.verify(signer.issue("alice", timedelta(seconds=-60)))


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("7d", timedelta(days=7)),
        ("24h", timedelta(hours=24)),
        ("30m", timedelta(minutes=30)),
        ("3600s", timedelta(hours=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0s", "1y", "1.5h", "9999w", "1d2h", "٣d"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not"):
        parse_duration(text)


def test_the_own_secret_is_made_once_readable_by_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(development_secret, [directory] * 32))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32
    assert (directory / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in directory.iterdir()] == ["jwt-secret"]


def test_a_directory_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigurationError, match=r"DATA_DIR.*JWT_SECRET_KEY"):
        development_secret(blocked)


def test_a_secret_of_ones_own_signs() -> None:
    own = settings_from(JWT_SECRET_KEY="my-own-" * 10, JWT_ALGORITHM="HS512")
    assert token_signer(own) == TokenSigner("my-own-" * 10, "HS512")
