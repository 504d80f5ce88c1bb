"""The control of the simulator under /_simulator: its script and its record."""

from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.exchange import Exchange
from orchestrator_worker.simulator.loop_lag import LoopLag
from orchestrator_worker.simulator.record import Record
from orchestrator_worker.simulator.script import Script


class Control:
    """Holds the script in force and shows the record. Needs no key: it listens where the API
    does.
    """

    def __init__(self, script: Script, record: Record, lag: LoopLag) -> None:
        self.script = script
        self._record = record
        self._lag = lag

    async def serve(self, exchange: Exchange) -> None:
        """Answer one control call.

        Raises:
            ApiError: The path is unknown, or the script is.
        """
        match exchange.method, exchange.path:
            case "PUT", "/_simulator/script":
                self.script = Script.from_json(await exchange.read_object())
            case "DELETE", "/_simulator/script":
                self.script = Script()
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
