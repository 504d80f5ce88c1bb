"""One run: a request in, events out. Pure asyncio: no web framework, no Anthropic types."""
