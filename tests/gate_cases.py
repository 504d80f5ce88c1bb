"""What a lead may plan, and what becomes of it: one table over every rule of the gate.

For a service with at most `MAX_SUBTASKS` entries and `MAX_WORKERS` workers per run, whose default
team has no types of subtasks and whose team `typed` has two.
"""

import json
from dataclasses import dataclass
from typing import Any

from plans import entry, plan_json
from stage import HAIKU, SONNET

MAX_SUBTASKS, MAX_WORKERS = 4, 6
LIMITS = {"MAX_SUBTASKS": str(MAX_SUBTASKS), "MAX_WORKERS_PER_RUN": str(MAX_WORKERS)}
TEAMS = {
    "typed": '[types.research]\ndescription = "Finds out."\n[types.Legal]\ntier = "sonnet"\n',
    "flat": "tiers = []\n",
}


@dataclass(frozen=True)
class Worker:
    """A worker's call as it should arrive."""

    id: str
    title: str
    instructions: str
    model: str = HAIKU
    after: tuple[str, ...] = ()
    """Ids of the subtasks whose results it gets."""
    type: str | None = None


def worker(id: str = "a", **fields: Any) -> Worker:
    """Return the worker for `entry(id)`."""
    made: dict[str, Any] = {"id": id, "title": f"T {id}", "instructions": f"Do {id}.", **fields}
    return Worker(**made)


def each(*items: str, id: str = "a", **fields: Any) -> list[Worker]:
    """Return the workers for `entry(id, for_each=items)`."""
    words = [(f"T {id}: {item}", f"Do {id}.\n{item}") for item in items]
    return [
        Worker(f"{id}.{number}", title, instructions, **fields)
        for number, (title, instructions) in enumerate(words, start=1)
    ]


@dataclass(frozen=True)
class Case:
    """A plan and what is made of it."""

    plan: list[Any] | str
    """Entries, or the tool's input as raw text."""
    workers: list[Worker]
    reasons: list[str]
    missing: str | None = None
    """What the answer must say is missing; None: it is whole."""
    model: str = "orchestrator-worker"

    @property
    def plan_json(self) -> str:
        return self.plan if isinstance(self.plan, str) else plan_json(*self.plan)


def fields(reasons: list[str], expected: dict[str, Any] | None = None, **given: Any) -> Case:
    """Return a case of one entry with these fields, beside one that is as it should be."""
    made = worker(**(expected or {}))
    return Case([entry(**given), entry("other")], [made, worker("other")], reasons)


def dropped(bad: str, reason: str, missing: str | None = None) -> Case:
    """Return a case in which the raw text `bad` stands where an entry should."""
    good = f"{json.dumps(entry())}, {json.dumps(entry('b'))}"
    plan = f'{{"subtasks": [{bad}, {good}]}}'
    return Case(plan, [worker(), worker("b")], [f"subtask 1 dropped: {reason}"], missing)


UNUSABLE = "neither instructions nor a title"
OVER = f"over the cap of {MAX_SUBTASKS} subtasks, as is all that follows"
ONE_DROPPED = "1 planned part that was dropped"
LATIN = [chr(ord("a") + number) for number in range(26)]

CASES: dict[str, Case] = {
    "as it should be": Case(
        [entry(), entry("b", depends_on=["a"], tier="haiku", output="text")],
        [worker(), worker("b", after=("a",))],
        [],
    ),
    # Who waits for whom.
    "two that depend on each other": Case(
        [entry(depends_on=["b"]), entry("b", depends_on=["a"])],
        [worker(), worker("b", after=("a",))],
        ["dependency 'b' ignored: no earlier subtask"],
    ),
    "three in a circle": Case(
        [entry(depends_on=["c"]), entry("b", depends_on=["a"]), entry("c", depends_on=["b"])],
        [worker(), worker("b", after=("a",)), worker("c", after=("b",))],
        ["dependency 'c' ignored: no earlier subtask"],
    ),
    "one that depends on itself": fields(
        ["dependency 'a' ignored: it is this one"], depends_on=["a"]
    ),
    "one that depends on nothing known": fields(
        ["dependency 'x' ignored: no earlier subtask",
         "dependency a list ignored: no earlier subtask"],
        depends_on=["x", ["a"]],
    ),
    "one that depends twice on another": Case(
        [entry(), entry("b", depends_on=["a", "a"])],
        [worker(), worker("b", after=("a",))],
        ["dependency 'a' ignored: named twice"],
    ),
    "one that depends on what was dropped": Case(
        [{"id": "x"}, entry(depends_on=["x"]), entry("b")],
        [worker(), worker("b")],
        [f"subtask 1 dropped: {UNUSABLE}", "dependency 'x' ignored: no earlier subtask"],
    ),
    "dependencies that are no list": fields(["depends_on ignored: not a list"], depends_on="other"),
    # Names.
    "an id that is taken": Case(
        [entry(), entry(title="T 2"), entry("c", depends_on=["a"])],
        [worker(), worker(id="s2", title="T 2", instructions="Do a."), worker("c", after=("a",))],
        ["renamed: the id 'a' was already taken"],
    ),
    "no id": fields(["renamed: it had no id"], {"id": "s1", "title": "T", "instructions": "I"},
                    id=None, title="T", instructions="I"),
    "an id that is no name, and still can be depended on": Case(
        [entry(id="../x", title="T"), entry("b", depends_on=["../x"])],
        [worker(id="s1", title="T", instructions="Do ../x."), worker("b", after=("s1",))],
        ["renamed: the id '../x' is not usable"],
    ),
    "an id that is too long": fields(
        [f"renamed: the id {'x' * 64!r} is not usable"],
        {"id": "s1", "title": "T", "instructions": "I"},
        id="x" * 65, title="T", instructions="I",
    ),
    "an id that is a number": Case(
        [entry(id=1, title="T", instructions="I"), entry("b", depends_on=[1])],
        [worker("1", title="T", instructions="I"), worker("b", after=("1",))],
        ["id: the number 1 taken as text"],
    ),
    # Texts.
    "no title": fields([], {"title": "Do a."}, title=None),
    "no instructions": fields([], {"instructions": "T a"}, instructions=" "),
    "a list as a title": fields(
        ["title ignored: a list, not text"], {"title": "Do a."}, title=["x"]
    ),
    "a long title": fields(
        ["title shortened to 120 characters"], {"title": "x" * 119 + "…"}, title="x" * 121
    ),
    "long instructions": fields(
        ["instructions cut at 20000 characters"],
        {"instructions": "x" * 20_000}, instructions="x" * 20_001,
    ),
    # Choices.
    "a tier": fields([], {"model": SONNET}, tier="Sonnet"),
    "a tier that the team does not offer": fields(
        ["tier ignored: 'opus' is not known"], tier="opus"
    ),
    "a tier of a team without tiers": Case(
        [entry(tier="sonnet"), entry("b")], [worker(), worker("b")],
        ["tier ignored: 'sonnet' is not known"], model="flat",
    ),
    "a type of the team, in another case": Case(
        [entry(type="RESEARCH"), entry("b", type="legal")],
        [worker(type="research"), worker("b", type="Legal", model=SONNET)],
        [], model="typed",
    ),
    "a type that the team does not have": Case(
        [entry(type="poem"), entry("b")], [worker(), worker("b")],
        ["type ignored: 'poem' is not known"], model="typed",
    ),
    "a tier beside a type that has one": Case(
        [entry(type="Legal", tier="haiku"), entry("b")],
        [worker(type="Legal"), worker("b")], [], model="typed",
    ),
    "a type as a label": fields([], {"type": "an angle"}, type=" an\nangle "),
    "tools and attachments that are not there": fields(
        ["tools: 'shell' removed, it is not known", "attachments: 1 removed, it is not known"],
        tools=["shell"], attachments=[1],
    ),
    "tools and attachments that are no lists": fields(
        ["tools ignored: not a list", "attachments ignored: not a list"],
        tools="shell", attachments={"1": True},
    ),
    "an output that is not known": fields(["output ignored: 'xml' is not known"], output="xml"),
    "many mistakes alike": fields(
        ["tools: 'x' removed, it is not known"] * 3 + ["tools: 97 more changes like these"],
        tools=["x"] * 100,
    ),
    # One entry for several things.
    "items with places for them": Case(
        [entry(title="On {{item}}", instructions="See {{ item }}, {{item}}.", for_each=["x", 7])],
        [Worker("a.1", "On x", "See x, x."), Worker("a.2", "On 7", "See 7, 7.")], [],
    ),
    "items without places": Case([entry(for_each=["x", "y"])], each("x", "y"), []),
    "items with a placeholder of their own": Case(
        [entry(title="{{item}}", instructions="<{{item}}>", for_each=["{{item}}", "{{id}}"])],
        [Worker("a.1", "{{item}}", "<{{item}}>"), Worker("a.2", "{{id}}", "<{{id}}>")], [],
    ),
    "items alike and items that are none": Case(
        [entry(for_each=["x", " x", None, {"a": 1}, "y"])],
        each("x", "y"),
        ["item 2 removed: there is one like it", "item 3 removed: null, not text",
         "item 4 removed: an object, not text"],
    ),
    "one item": Case(
        [entry(for_each=["x"]), entry("b")],
        [worker(title="T a: x", instructions="Do a.\nx"), worker("b")], [],
    ),
    "no item": fields(["for_each ignored: no item"], for_each=[]),
    "no usable item": fields(
        ["item 1 removed: ' ', not text", "for_each ignored: no usable item"], for_each=[" "]
    ),
    "items that are no list": fields(["for_each ignored: not a list"], for_each="x, y"),
    "a long item": Case(
        [entry(title="{{item}}", instructions="{{item}}", for_each=["x" * 2001]), entry("b")],
        [Worker("a", "x" * 119 + "…", "x" * 2000), worker("b")],
        ["item 1 cut at 2000 characters"],
    ),
    "items that wait and are waited for": Case(
        [entry(), entry("b", for_each=["x", "y"], depends_on=["a"], tier="sonnet"),
         entry("c", depends_on=["b"]), entry("d", depends_on=["b.2"])],
        [worker(), *each("x", "y", id="b", after=("a",), model=SONNET),
         worker("c", after=("b.1", "b.2")), worker("d", after=("b.2",))], [],
    ),
    # Caps.
    "more subtasks than allowed": Case(
        [entry(name) for name in LATIN[:6]], [worker(name) for name in LATIN[:4]],
        [f"subtask 5 dropped: {OVER}"], "2 planned parts that were dropped",
    ),
    "far more subtasks than allowed": Case(
        [entry(name) for name in LATIN], [worker(name) for name in LATIN[:4]],
        [f"subtask 5 dropped: {OVER}"], "what was planned beyond the first 4 parts",
    ),
    "more items than allowed": Case(
        [entry(for_each=LATIN[:10])], each(*LATIN[:6]),
        ["4 of 10 items dropped: over the cap of 6 workers"], "4 planned parts that were dropped",
    ),
    "more items than are left": Case(
        [entry(), entry("b", for_each=LATIN[:7]), entry("c"), entry("d", depends_on=["b"])],
        [worker(), *each(*LATIN[:5], id="b")],
        ["2 of 7 items dropped: over the cap of 6 workers",
         "subtask 3 dropped: over the cap of 6 workers, as is all that follows"],
        "4 planned parts that were dropped",
    ),
    # What is no entry.
    "null": dropped("null", "not an object"),
    "a number": dropped("3", "not an object"),
    "a text": dropped('"do, {it}"', "not an object"),
    "a list": dropped("[]", "not an object"),
    "nothing to do": dropped('{"id": "x", "for_each": ["y"]}', UNUSABLE),
    "an entry that is not JSON": dropped('{"id": "x" "title": 1}', "not valid JSON", ONE_DROPPED),
    "many that are none": Case(
        [None, 1, "", [], {}, entry(), entry("b")], [worker(), worker("b")],
        [f"subtask {number} dropped: not an object" for number in (1, 2, 3)]
        + ["subtask 4 dropped: not an object; further ones that are of no use are not reported"],
    ),
    "more beside the list": Case(
        f'{{"why": ["subtasks", {{"id": "x"}}], "subtasks": [{json.dumps(entry())}, '
        f'{json.dumps(entry("b"))}], "more": [1]}}',
        [worker(), worker("b")], [],
    ),
}  # fmt: skip

NO_PLANS: dict[str, tuple[str, list[str]]] = {
    "an empty list": ('{"subtasks": []}', []),
    "no list": ("{}", []),
    "null for a list": ('{"subtasks": null}', []),
    "a list of another name": ('{"steps": [{"id": "a", "title": "T"}]}', []),
    "nothing": ("", []),
    "words": ("I would rather not, [really].", []),
    "only what is no entry": ('{"subtasks": [1, {}]}', [
        "subtask 1 dropped: not an object", f"subtask 2 dropped: {UNUSABLE}",
    ]),
}  # fmt: skip
"""Plans of which nothing can be used, and the reasons for what stands in them."""
