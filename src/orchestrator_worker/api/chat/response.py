"""One run as an HTTP response: the run lives exactly as long as the response, streamed or not.

The status is held back until the lead has been taken by Claude, so that an early failure is an HTTP
status and not an error frame; after that a stream speaks for itself.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from orchestrator_worker.api.chat.codec import HEARTBEAT, Codec, Wanted
from orchestrator_worker.api.chat.usage import phases, usd
from orchestrator_worker.api.connection import ClientLeft, while_connected
from orchestrator_worker.api.errors import JSONResponse
from orchestrator_worker.api.middleware import RequestTrace, trace_of
from orchestrator_worker.errors import OrchestratorError
from orchestrator_worker.orchestration.events import AnswerDelta, Event, LeadStarted, PlanClosed
from orchestrator_worker.orchestration.orchestrator import Orchestrator
from orchestrator_worker.orchestration.results import Succeeded
from orchestrator_worker.orchestration.run import Run, RunRequest

HOLD_SECONDS = 5.0
"""How long the status waits for the lead; after that the stream opens and failures become error
frames.
"""
HEARTBEAT_SECONDS = 10
STALLED_SECONDS = 60
"""How long one frame may take to leave: a caller that stops reading must not hold its run for ever.
"""
_log = structlog.stdlib.get_logger(__name__)


class RunResponse(Response):
    """Runs the orchestrator while it is being sent."""

    def __init__(
        self, orchestrator: Orchestrator, request: RunRequest, wanted: Wanted, *, stream: bool
    ) -> None:
        super().__init__()
        self._orchestrator = orchestrator
        self._request = request
        self._wanted = wanted
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run, and send what becomes of it; errors before the first byte are raised."""
        trace = trace_of(scope)
        trace.fields["stream"] = self._stream
        run: Run | None = None
        try:
            async with self._orchestrator.run(self._request) as run:
                await self._serve(run, scope, receive, send)
        except ClientLeft:
            trace.outcome = "client_disconnected"
        except SendTimeoutError:
            trace.outcome = "client_stalled"
        except OrchestratorError as error:
            trace.outcome = error.code
            raise
        finally:
            # Here the run has let go of its calls, so its account is complete.
            if run is not None:
                _describe(run, trace)

    async def _serve(self, run: Run, scope: Scope, receive: Receive, send: Send) -> None:
        structlog.contextvars.bind_contextvars(run_id=run.id)
        trace, codec = trace_of(scope), Codec(run, self._wanted)
        if self._stream:
            response = await self._open_stream(run, codec, trace, receive)
        else:
            response = await self._complete(run, codec, trace, receive)
        await response(scope, receive, send)

    async def _complete(
        self, run: Run, codec: Codec, trace: RequestTrace, receive: Receive
    ) -> Response:
        async def collect() -> None:
            async for event in run:
                codec.take(event)

        await while_connected(receive, collect())
        trace.timings.update(_timings(run))
        return JSONResponse(codec.completion())

    async def _open_stream(
        self, run: Run, codec: Codec, trace: RequestTrace, receive: Receive
    ) -> Response:
        held = await while_connected(receive, _until_lead_started(run))
        trace.timings["lead"] = run.seconds

        async def note_leaving(_message: Message) -> None:
            # uvicorn says so at the end of every response; before that it is the caller's doing.
            if trace.outcome is None:
                trace.outcome = "client_disconnected"

        return EventSourceResponse(
            _frames(run, codec, held, trace),
            ping=HEARTBEAT_SECONDS,
            send_timeout=STALLED_SECONDS,
            ping_message_factory=lambda: ServerSentEvent(comment=HEARTBEAT, sep="\n"),
            client_close_handler_callable=note_leaving,
            headers={"cache-control": "no-store, no-transform"},
        )


async def _until_lead_started(run: Run) -> list[Event]:
    """Return the events up to the lead's start (or the plan, where there is no lead), or those of
    the first seconds.
    """
    held: list[Event] = []
    try:
        async with asyncio.timeout(HOLD_SECONDS):
            async for event in run:
                held.append(event)
                if isinstance(event, LeadStarted | PlanClosed):
                    break
    except TimeoutError:
        _log.info("lead_slow", seconds=HOLD_SECONDS)
    return held


async def _frames(
    run: Run, codec: Codec, held: list[Event], trace: RequestTrace
) -> AsyncIterator[bytes]:
    yield codec.first()
    for event in held:
        for frame in codec.frames(event):
            yield frame
    try:
        async for event in run:
            if isinstance(event, AnswerDelta):
                yield codec.text(event.text)
                continue
            for frame in codec.frames(event):
                yield frame
    except OrchestratorError as error:
        trace.outcome = error.code
        ending = codec.failed(error)
    except Exception as error:  # noqa: BLE001 - the HTTP edge: a begun stream must end well-formed
        _log.exception("run_crashed")
        trace.outcome = "crashed"
        ending = codec.failed(error)
    else:
        trace.outcome = "ok"
        ending = codec.last()
    for frame in ending:
        yield frame


def _timings(run: Run) -> dict[str, float]:
    measured = {"coordination": run.coordination_seconds, "synthesis": run.synthesis_seconds}
    return {name: seconds for name, seconds in measured.items() if seconds is not None}


def _describe(run: Run, trace: RequestTrace) -> None:
    """Put the run's totals into the request's canonical line."""
    usage = run.ledger.usage
    succeeded = sum(isinstance(result, Succeeded) for result in run.results)
    trace.fields.update(
        model=run.request.team.model_id,
        run_id=run.id,
        route=run.route,
        subtasks=len(run.results),
        subtasks_succeeded=succeeded,
        partial=run.partial,
        timed_out=run.timed_out,
        stop_reason=run.stop_reason,
        attempts=len(run.ledger.attempts),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        cost_usd=usd(run.ledger.cost_usd),
        **phases(run),
    )
