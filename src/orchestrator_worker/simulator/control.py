"""The control of the simulator under /_simulator: script, record, cache and clock."""

from orchestrator_worker.simulator.clock import Clock
from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.exchange import Exchange
from orchestrator_worker.simulator.field_checks import required
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.loop_lag import LoopLag
from orchestrator_worker.simulator.prompt_cache import PromptCache
from orchestrator_worker.simulator.rate_limits import RateLimits
from orchestrator_worker.simulator.record import Record
from orchestrator_worker.simulator.script import Script
from orchestrator_worker.simulator.script_values import NUMBER, not_negative, read_fields


class Control:
    """Holds the script in force and what it rules, and shows the record. Needs no key: it listens
    where the API does.
    """

    def __init__(self, script: Script, record: Record, lag: LoopLag) -> None:
        self.script = script
        self.clock = Clock()
        self.cache = PromptCache(self.clock, lambda: self.script.cache)
        self.limits = RateLimits(self.clock, lambda: self.script.rate_limits)
        self._record = record
        self._lag = lag

    async def serve(self, exchange: Exchange) -> None:
        """Answer one control call.

        Raises:
            ApiError: The path is unknown, or what was sent is not understood.
        """
        match exchange.method, exchange.path:
            case "PUT", "/_simulator/script":
                self.script = Script.from_json(await exchange.read_object())
                self.limits.clear()
            case "DELETE", "/_simulator/script":
                self.script = Script()
                self.limits.clear()
                self.cache.clear()
            case "DELETE", "/_simulator/cache":
                self.cache.clear()
            case "POST", "/_simulator/clock":
                self.clock.advance(_seconds(await exchange.read_object()))
            case "DELETE", "/_simulator/calls":
                self._record.clear()
                self._lag.max_seconds = 0.0
            case "GET", "/_simulator/calls":
                lag = {"max_loop_lag_seconds": self._lag.max_seconds}
                await exchange.respond(200, self._record.to_json() | lag)
                return
            case _:
                raise ApiError(404, "Not Found")
        await exchange.respond(200, {"ok": True})


def _seconds(value: JsonObject) -> float:
    fields = read_fields(value, {"advance_seconds": NUMBER}, "")
    not_negative(fields, ("advance_seconds",), "")
    return float(required(fields, "advance_seconds"))
