"""The caller's own tools: offered to the lead, called by it, run by the caller.

Owns what the lead may call beside its own tool and how its calls go out; the lead's turn decides
whether they do (`lead.py`).
"""

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Tool, ToolInputDelta, ToolUseStarted
from orchestrator_worker.ids import new_id
from orchestrator_worker.orchestration.events import ToolCallDelta, ToolCallStarted
from orchestrator_worker.orchestration.run import Run, RunRequest

DELEGATE = "delegate"


def free_name(request: RunRequest) -> str:
    """Return what the lead's own tool is called beside the caller's."""
    taken = {tool.name for tool in request.tools}
    names = (DELEGATE, *(f"{DELEGATE}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def offered_tools(request: RunRequest) -> tuple[Tool, ...]:
    """Return the caller's tools as the lead is offered them; a named one alone, if it must be that.

    A model that cannot be forced is at least not tempted by the others.
    """
    name = request.tool_choice.name
    return tuple(tool for tool in request.tools if name in (None, tool.name))


def reads_calls(request: RunRequest) -> bool:
    """Whether the lead may be shown earlier calls as calls, not only as text.

    A model that thinks before each answer wants its thoughts back beside the calls that it made
    last, and the caller has never had them.
    """
    thinks = capabilities_of(request.team.lead.model).always_thinks
    return bool(request.tools) and not (thinks and request.conversation.answers_calls)


class ToolCalls:
    """The calls of one turn on their way to the caller."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._count = 0
        self._open = False
        self._empty = True
        self._ids: set[str] = set()

    @property
    def begun(self) -> bool:
        """True once a call has gone out."""
        return self._count > 0

    async def start(self, event: ToolUseStarted) -> bool:
        """Begin a call; False: there may be only one, and it is not this."""
        await self.close(whole=True)
        if self.begun and not self._run.request.tool_choice.parallel:
            return False
        self._open, self._empty = True, True
        id_ = event.tool_use_id
        if not id_ or id_ in self._ids:  # from servers that imitate the API
            id_ = new_id("call")
        self._ids.add(id_)
        await self._run.emit(ToolCallStarted(self._count, id_, event.name))
        self._count += 1
        return True

    async def input(self, event: ToolInputDelta) -> None:
        """Pass on a piece of the open call's input; that of a dropped one goes nowhere."""
        if self._open:
            self._empty = False
            await self._run.emit(ToolCallDelta(self._count - 1, event.partial_json))

    async def close(self, *, whole: bool) -> None:
        """End the open call: a tool without parameters gets an object all the same.

        `whole`: the call was not cut.
        """
        if self._open and self._empty and whole:
            await self._run.emit(ToolCallDelta(self._count - 1, "{}"))
        self._open = False
