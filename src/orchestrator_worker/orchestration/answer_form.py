"""Answers that must be JSON: passed on as they are written where Claude itself holds them to their
schema, else held back until they are checked, and asked for once more if they do not hold.

Whose answer it is, the lead's or the synthesizer's, makes no difference here.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import (
    FREE_CHOICE,
    Call,
    ClaudeClient,
    Message,
    MessageStarted,
    whole_answer,
)
from orchestrator_worker.errors import AnswerUnusable
from orchestrator_worker.orchestration.json_results import NotTheJson, read_json, without_fence
from orchestrator_worker.teams.team import Synthesizer

_OPENING_FENCE = re.compile(r"\A\s*(?:```|~~~)\w*\n")
WHOLE = frozenset({"end_turn", "stop_sequence", "tool_use"})
"""Stop reasons after which the text is all that the model wanted to write."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The JSON that the caller wants for an answer."""

    schema: Mapping[str, Any] | None = None
    """What it must fulfil. None: any JSON object will do."""
    enforced: Mapping[str, Any] | None = None
    """The schema in the words of the API, where Claude can be held to all of it."""

    def in_words(self, words: Synthesizer) -> str:
        """Return what the answer must be, for a model that nothing else holds to it."""
        if self.schema is None:
            return words.json_object.text
        return words.json_schema.fill({"schema": orjson.dumps(self.schema).decode()})

    def check(self, text: str) -> str:
        """Return the JSON that `text` is, as it was written.

        Raises:
            NotTheJson: it is none, or not as it should be.
        """
        value = read_json(text, self.schema)
        if self.schema is None and not isinstance(value, dict):
            raise NotTheJson("its result is no JSON object")
        return without_fence(text)


class FormedAnswer:
    """The text of one answer while it is written.

    `say` passes text on to the caller.
    """

    def __init__(self, form: AnswerForm, say: Callable[[str], Awaitable[None]]) -> None:
        self.form = form
        self._say = say
        self._enforced = False
        self._passing = False
        self._pieces: list[str] = []
        self._blank = True
        """Nothing but space has come."""

    def begun(self, started: MessageStarted, model: str) -> None:
        """Note whether the answer that begins is held to the schema: it was asked for, and `model`
        is known to do it.
        """
        known = capabilities_of(model).structured_output
        self._enforced = known and "output_format" in started.carried

    async def take(self, text: str) -> None:
        """Take a piece: passed on if it can be trusted."""
        self._pieces.append(text)
        if self._passing:
            await self._say(text)
        elif self._blank and (begun := text.lstrip()):
            self._blank = False
            if self._enforced and begun.startswith(("{", "[")):
                self._passing = True
                await self._say(begun)

    async def end(
        self, stop_reason: str, ask_again: Callable[[str, str], Awaitable[tuple[str, str]]]
    ) -> str:
        """Pass on what was held, if it is or becomes what was asked for; returns why the answer
        stops.

        `ask_again`: puts the text and what is wrong with it to its writer.

        Raises:
            AnswerUnusable: it is not the JSON that was asked for, also when asked again.
        """
        for last_try in (False, True):
            if stop_reason not in WHOLE:
                if stop_reason != "refusal":
                    await self.say_held()  # cut: no whole form will come of it
                return stop_reason
            said = "".join(self._pieces)
            try:
                text = self.form.check(said)
            except NotTheJson as error:
                if last_try or self._passing:
                    raise AnswerUnusable(
                        "The model's answer is not the JSON that response_format asks for: "
                        f"{error}."
                    ) from error
                self._pieces.clear()  # what is no answer must not become one by a deadline
                said, stop_reason = await ask_again(said, str(error))
                self._pieces.append(said)
                continue
            if not self._passing:
                await self._say(text)
            break
        return stop_reason

    @property
    def unsaid(self) -> str:
        """What has been written and not passed on."""
        return "" if self._passing else "".join(self._pieces).strip()

    async def say_held(self) -> None:
        """Pass on what was held as it stands, for an answer that was cut."""
        begun = _OPENING_FENCE.sub("", "".join(self._pieces), count=1).lstrip()
        if not self._passing and begun.startswith(("{", "[")):  # half a form; prose is none
            self._passing = True
            await self._say(begun)


async def asked_again(
    claude: ClaudeClient,
    call: Call,
    form: AnswerForm,
    words: Synthesizer,
    said: str,
    problem: str,
) -> tuple[str, str]:
    """Return what becomes of `call` when it is put once more, with what was wrong with its answer,
    and why that stops.

    Raises:
        UpstreamError: see `ClaudeClient.stream`.
    """
    repair = words.json_repair.fill({"problem": problem})
    turn = f"{repair}\n\n{form.in_words(words)}"
    *history, last = call.messages
    if said.strip():
        asked = (*history, last, Message("assistant", (said,)), Message("user", (turn,)))
    else:
        asked = (*history, Message("user", (*last.content, turn)))
    origin = replace(call.origin, purpose="repair")
    again = replace(
        call,
        messages=asked,
        tools=(),
        tool_choice=FREE_CHOICE,
        stop_sequences=(),
        schema_in_words="",  # stands in the turn
        shared_role=False,
        shared_history=False,
        origin=origin,
    )
    return await whole_answer(claude, again)
