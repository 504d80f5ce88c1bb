"""The table of models against the documentation's own table, row by row."""

import pytest

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Effort

ADAPTIVE, OFF, BETWEEN = "adaptive", "disabled", "between_tools"
K64, K128 = 64_000, 128_000


@pytest.mark.parametrize(
    ("model", "max_output", "effort", "when_low", "when_max", "min_cached"),
    [
        ("claude-fable-5-2", K128, True, None, ADAPTIVE, 512),
        ("claude-fable-5", K128, True, None, ADAPTIVE, 512),
        ("claude-opus-5-5", K128, True, None, ADAPTIVE, 512),
        ("claude-sonnet-5-5", K128, True, BETWEEN, ADAPTIVE, 512),
        ("claude-haiku-5-5", K128, True, OFF, ADAPTIVE, 512),
        ("claude-opus-5", K128, True, OFF, ADAPTIVE, 512),
        ("claude-sonnet-5", K128, True, OFF, ADAPTIVE, 1024),
        ("claude-opus-4-8", K128, True, None, ADAPTIVE, 1024),
        ("claude-opus-4-7", K128, True, None, ADAPTIVE, 2048),
        ("claude-opus-4-6", K128, True, None, ADAPTIVE, 4096),
        ("claude-sonnet-4-6", K128, True, None, ADAPTIVE, 1024),
        ("claude-opus-4-5-20251101", K64, True, None, None, 4096),
        ("claude-sonnet-4-5-20250929", K64, False, None, None, 1024),
        ("claude-haiku-4-5-20251001", K64, False, None, None, 4096),
        ("claude-opus-4-1", K64, False, None, None, None),
        ("llama-9", K128, False, None, None, None),
    ],
)
def test_each_model_gets_what_it_takes(
    model: str,
    max_output: int,
    effort: bool,
    when_low: str | None,
    when_max: str | None,
    min_cached: int | None,
) -> None:
    takes = capabilities_of(model)
    assert takes.max_output_tokens == max_output
    assert takes.effort is effort
    assert takes.min_cached_tokens == min_cached
    deliberate: tuple[Effort, ...] = ("high", "xhigh", "max")
    for level in deliberate:
        assert (takes.thinking(level) or {}).get("type") == when_max
    sparing: tuple[Effort, ...] = ("low", "medium")
    for level in sparing:
        # Neither of the two ways off is accepted above high.
        assert (takes.thinking(level) or {}).get("type") == when_low
    assert takes.thinking(None) is None
