"""A stand-in for https://api.anthropic.com that speaks the Messages API over real HTTP.

It shares no code with the rest of the package, so that one misreading of the API cannot hide in
both. It answers from the structure and content of a request, deterministically, and says that it
is simulated.

Layers, top first: `server` runs `app`, which hands calls to `messages` and `control`. `messages`
asks `validation` and `thinking_rules` what to refuse, `prompt_cache` and `rate_limits` what a call
costs, then `answers`, `composing` and `sending` for the response. `control` holds the `script`.
`prompt`, `models`, `tokens`, `media`, `clock`, `errors` and `jsons` stand at the bottom.
"""

from orchestrator_worker.simulator.app import create_app
from orchestrator_worker.simulator.script import Script
from orchestrator_worker.simulator.server import EmbeddedSimulator, serve

__all__ = ["EmbeddedSimulator", "Script", "create_app", "serve"]
