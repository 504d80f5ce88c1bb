"""The local estimate of tokens."""

import pytest

from orchestrator_worker.claude.client import Message, Tool
from orchestrator_worker.claude.tokens import estimate_call_tokens, estimate_tokens
from tests.claude.chain import call


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


async def test_a_calls_estimate_counts_all_that_claude_reads() -> None:
    bare = estimate_call_tokens(call(messages=(Message("user", ("x" * 300,)),)))
    assert bare == 100
    full = call(
        messages=(Message("user", ("x" * 300, "x" * 30)), Message("assistant", ("x" * 30,))),
        system=("x" * 60,),
        tools=(Tool("n" * 3, "d" * 30, {"type": "object"}),),
    )
    assert estimate_call_tokens(full) == 100 + 10 + 10 + 20 + 1 + 10 + 6
