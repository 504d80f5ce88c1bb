"""What tokens cost, in USD.

The table is genai-prices' dated one, bundled with that package: it knows cache prices, tiers and
models, and is read from disk, never from the network. A model it does not know costs None
(unknown), never zero.
"""

from datetime import date
from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import utc_now


def cost_usd(model: str, usage: Usage) -> Decimal | None:
    """Return what one call to `model` costs, or None when its price is unknown.

    Prices can step with the size of one call's prompt (Haiku 5.5 above 100k tokens), so sum the
    costs of calls; never price the sum of their tokens.
    """
    return _cost_usd(model, usage, utc_now().date())


@lru_cache(maxsize=4096)
def _cost_usd(model: str, usage: Usage, _day: date) -> Decimal | None:
    # Prices are dated, so a remembered one holds for its day.
    try:
        price = calc_price(
            PricedUsage(
                input_tokens=usage.total_input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_input_tokens,
                # Unsplit, so priced as 5-minute writes: no call of ours asks for the longer kind.
                cache_write_tokens=usage.cache_creation_input_tokens,
            ),
            model,
            provider_id="anthropic",
        )
    except LookupError:
        return None
    return price.total_price
