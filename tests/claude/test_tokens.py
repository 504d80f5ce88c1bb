"""The local estimate of tokens."""

import pytest

from orchestrator_worker.claude.tokens import estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("x" * 3000, 1000),
        ("x" * 3001, 1001),
        ("漢字かな交じり", 7),
        ("한국어", 3),
        ("\ud83d", 1),  # half of a surrogate pair, as a client may send it
    ],
)
def test_a_token_is_three_letters_or_one_ideograph(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
