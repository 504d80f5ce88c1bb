"""The chat completion route: everything that can be refused is refused here, before anything is
spent.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from slowapi import Limiter
from starlette.responses import Response

from orchestrator_worker.api.chat.codec import Wanted
from orchestrator_worker.api.chat.response import RunResponse
from orchestrator_worker.api.chat.schemas import ChatCompletionRequest, parse_chat_request
from orchestrator_worker.api.deps import CurrentPrincipal, CurrentResources
from orchestrator_worker.api.middleware import trace_of
from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.errors import InvalidRequest
from orchestrator_worker.orchestration.run import RunRequest
from orchestrator_worker.teams.scaling import scaled
from orchestrator_worker.teams.side_tasks import as_side_task, read_side_tasks
from orchestrator_worker.teams.team import Team

ORCHESTRATION_HEADER = "x-orchestration"
_KNOWN = frozenset({"plan", "progress", "quiet", "results", "usage"})


async def chat_request(request: Request, principal: CurrentPrincipal) -> ChatCompletionRequest:
    """Read and check the body, after its sender: an unknown caller learns nothing of the schema."""
    return parse_chat_request(await request.body())


async def orchestration_wishes(request: Request) -> frozenset[str]:
    """Return what the `X-Orchestration` header asks for.

    Raises:
        InvalidRequest: it asks for something that does not exist.
    """
    words = ",".join(request.headers.getlist(ORCHESTRATION_HEADER)).lower().split(",")
    wishes = frozenset(word.strip() for word in words if word.strip())
    if unknown := sorted(wishes - _KNOWN):
        raise InvalidRequest(
            f"X-Orchestration: {unknown[0]!r} is not one of {', '.join(sorted(_KNOWN))}.",
            param="X-Orchestration",
            code="invalid_value",
        )
    return wishes


async def create_chat_completion(
    request: Request,
    principal: CurrentPrincipal,
    body: Annotated[ChatCompletionRequest, Depends(chat_request)],
    wishes: Annotated[frozenset[str], Depends(orchestration_wishes)],
    resources: CurrentResources,
) -> Response:
    """Answer a conversation with a team of agents."""
    team = scaled(await resources.team(body.model), body.reasoning_effort, body.answer_cap)
    request_id = trace_of(request.scope).request_id
    run = _run_request(request_id, principal, team, body, wishes)
    wanted = Wanted(
        usage_chunk=body.include_usage,
        progress="progress" in wishes,
        usage_report="usage" in wishes,
        results="results" in wishes,
        reasoning=run.team.progress and "quiet" not in wishes,
        functions=body.calls_functions,
    )

    def answer() -> Response:
        return RunResponse(resources.orchestrator, run, wanted, stream=bool(body.stream))

    return resources.answers.response(request, principal, await request.body(), wishes, answer)


def _run_request(
    request_id: str,
    principal: Principal,
    team: Team,
    body: ChatCompletionRequest,
    wishes: frozenset[str],
) -> RunRequest:
    conversation = body.conversation(team.lead.go_on.text)
    team = as_side_task(team, conversation.system, conversation.messages) or team
    offered, form = body.offered, body.form
    tools = offered.tools(form and form.enforced)
    if tools and not team.takes_tools:
        raise InvalidRequest(
            f"The model {body.model!r} always delegates; only a lead that answers can call tools.",
            param="functions" if body.calls_functions else "tools",
            code="unsupported_parameter",
        )
    return RunRequest(
        request_id=request_id,
        principal=principal.subject,
        team=team if form is None else replace(team, synthesis="write"),
        conversation=conversation,
        max_tokens=body.answer_cap,
        plan_only="plan" in wishes,
        tools=tools,
        tool_choice=offered.tool_choice,
        form=form,
        stop=body.stops,
    )


async def admit(request: Request, principal: CurrentPrincipal) -> None:
    """Stand where the rate limit is counted: after the caller is known, before the body is read."""


def chat_router(limiter: Limiter, rate: str) -> APIRouter:
    """Return the route under its rate limit."""
    read_side_tasks()  # a file, and no request may wait for one
    router = APIRouter(prefix="/v1/chat", tags=["chat"])
    router.add_api_route(
        "/completions",
        create_chat_completion,
        dependencies=[Depends(limiter.limit(rate)(admit))],
        methods=["POST"],
        response_class=Response,
        response_model=None,
        operation_id="createChatCompletion",
    )
    return router
