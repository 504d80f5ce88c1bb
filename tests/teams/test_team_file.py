"""Every key of team.toml, wrong once: the mistake is told with its file and place."""

from pathlib import Path

import pytest

from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.loader import load_teams
from running_service import settings_from

ONE = "[[subtasks]]\nid = 'a'\ntitle = 'A'\n"
TWO = f"{ONE}[[subtasks]]\nid = 'b'\ntitle = 'B'\n"
FIXED = "route = 'fixed'\n"
MISTAKES: dict[str, tuple[str, str]] = {
    # What the file says, and what is said of it.
    "plan_form": ("plan_form = 'yaml'", "plan_form: Input should be 'tool' or 'text'"),
    "prompt_level": ("prompt_level = 3", "prompt_level: "),
    "synthesis": ("synthesis = 'none'", "synthesis: "),
    "missing_dependency": ("missing_dependency = true", "missing_dependency: "),
    "evaluate": ("evaluate = 'yes'", "evaluate: "),
    "tiers that are no list": ("tiers = 'haiku'", "tiers: "),
    "tiers that are no names": ("tiers = [1]", "tiers.0: "),
    "an unknown tier": (
        "tiers = ['haiku', 'mythos']",
        "tiers: 'mythos' is not one of haiku, sonnet, opus",
    ),
    "a model's id as a tier": ("tiers = ['claude-haiku-5-5']", "tiers: 'claude-haiku-5-5'"),
    "reduce_above_tokens": ("reduce_above_tokens = 999", "reduce_above_tokens: "),
    "a role's effort": ("[lead]\neffort = 'huge'", "lead.effort: "),
    "a role's max_tokens": ("[worker]\nmax_tokens = 128001", "worker.max_tokens: "),
    "a role's model": ("[synthesizer]\nmodel = ''", "synthesizer.model: "),
    "a score for who does not score": ("[worker]\nmin_score = 5", "worker.min_score: "),
    "min_score": ("[evaluator]\nmin_score = 11", "evaluator.min_score: "),
    "an evaluator's unknown key": ("[evaluator]\nprompt = 'x'", "evaluator.prompt: "),
    "coordination": ("[timeouts]\ncoordination = 0.5", "timeouts.coordination: "),
    "synthesis's time": ("[timeouts]\nsynthesis = 271", "timeouts.synthesis: "),
    "direct_answer": ("[timeouts]\ndirect_answer = '9'", "timeouts.direct_answer: "),
    "max_subtasks": ("[caps]\nmax_subtasks = 201", "caps.max_subtasks: "),
    "max_workers": ("[caps]\nmax_workers = 0", "caps.max_workers: "),
    "max_concurrent_workers": (
        "[caps]\nmax_concurrent_workers = 1001",
        "caps.max_concurrent_workers: ",
    ),
    "max_rounds": ("[caps]\nmax_rounds = 0", "caps.max_rounds: "),
    "too many rounds": ("[caps]\nmax_rounds = 11", "caps.max_rounds: "),
    "a type's name": ("[types.'a b']", "types.a b"),
    "a type's unknown key": ("[types.a]\nmodel = 'x'", "types.a.model: "),
    "a type's empty prompt": ("[types.a]\nprompt = ''", "types.a.prompt: "),
    "a type's placeholder": (
        "[types.a]\nprompt = 'Be {{colour}}.'",
        "types.a.prompt: placeholder {{colour}} is not known here",
    ),
    "the results in a type's prompt": (
        "[types.a]\nprompt = 'Read {{results}}.'",
        "types.a.prompt: placeholder {{results}} is not known here",
    ),
    "a type's tier": ("[types.a]\ntier = 'large'", "types.a.tier: 'large' is not one of haiku"),
    "a type's output": ("[types.a]\noutput = 'xml'", "types.a.output: "),
    "a type's schema": (
        "[types.a]\nschema = {type = 'dictionary'}",
        'types.a.schema: is not a JSON Schema: "dictionary" is not valid',
    ),
    "a schema elsewhere": (
        "[types.a]\nschema = {items = {'$ref' = 'http://127.0.0.1:9/schema.json'}}",
        "types.a.schema: is not a JSON Schema: Resource 'http://127.0.0.1:9/schema.json' is not",
    ),
    "a schema in a file": (
        "[types.a]\nschema = {items = {'$ref' = 'file:///etc/hostname'}}",
        "types.a.schema: is not a JSON Schema: Resource 'file:///etc/hostname' is not",
    ),
    "a schema's reference to nothing": (
        "[types.a]\nschema = {'$ref' = '#/$defs/x'}",
        "types.a.schema: is not a JSON Schema: Pointer '/$defs/x' does not exist",
    ),
    "a schema's pattern that may take for ever": (
        "[types.a]\nschema = {pattern = '(?=a)'}",
        'types.a.schema: is not a JSON Schema: "(?=a)" is not a',
    ),
    "a schema's number that JSON has not": (
        "[types.a]\nschema = {maximum = 99999999999999999999}",
        "types.a.schema: is not JSON: ",
    ),
    "a schema that is no object": ("[types.a]\nschema = 'object'", "types.a.schema: "),
    "a schema of text": (
        "[types.a]\noutput = 'text'\nschema = {type = 'object'}",
        "types.a: schema: needs output = 'json'",
    ),
    "fixed without subtasks": (FIXED, "subtasks: are listed if and only if route = 'fixed'"),
    "subtasks without fixed": (ONE, "subtasks: are listed if and only if route = 'fixed'"),
    "a subtask's id": (f"{FIXED}[[subtasks]]\nid = 'a b'\ntitle = 'A'", "subtasks.0.id: "),
    "a subtask without an id": (f"{FIXED}[[subtasks]]\ntitle = 'A'", "subtasks.0.id: "),
    "a subtask without a title": (f"{FIXED}[[subtasks]]\nid = 'a'", "subtasks.0.title: "),
    "an id twice": (f"{FIXED}{ONE}{ONE}", "subtasks.1.id: 'a' is taken"),
    "an unknown dependency": (
        f"{FIXED}{TWO}depends_on = ['a', 'c']",
        "subtasks.1.depends_on: 'c' is no earlier subtask",
    ),
    "a dependency on a later one": (
        f"{FIXED}{ONE}depends_on = ['b']\n{TWO.removeprefix(ONE)}",
        "subtasks.0.depends_on: 'b' is no earlier subtask",
    ),
    "a dependency on itself": (
        f"{FIXED}{ONE}depends_on = ['a']",
        "subtasks.0.depends_on: 'a' is no earlier subtask",
    ),
    "a subtask's type": (
        f"{FIXED}{ONE}type = 'x'\n[types.y]",
        "subtasks.0.type: 'x' is none of the team's types",
    ),
    "a subtask's tier": (f"{FIXED}{TWO}tier = 'x'", "subtasks.1.tier: 'x' is not one of haiku"),
    "a subtask's output": (f"{FIXED}{ONE}output = 'xml'", "subtasks.0.output: "),
    "no items": (f"{FIXED}{ONE}for_each = []", "subtasks.0.for_each: "),
    "a place for an item, and no items": (
        f"{FIXED}{TWO}instructions = 'Do {{{{ item }}}}.'",
        "subtasks.1.for_each: is needed for {{item}}",
    ),
    "items that are no text": (f"{FIXED}{ONE}for_each = [1]", "subtasks.0.for_each.0: "),
    "a subtask's unknown key": (f"{FIXED}{ONE}prompt = 'x'", "subtasks.0.prompt: "),
    "more subtasks than may be planned": (
        f"{FIXED}{TWO}[caps]\nmax_subtasks = 1",
        "subtasks: are 2, over caps.max_subtasks (1)",
    ),
    "more items than may be worked on": (
        f"{FIXED}{TWO}for_each = ['x', 'y', 'z']\n[caps]\nmax_workers = 3",
        "subtasks: make 4 workers, over caps.max_workers (3)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_its_file_and_place(tmp_path: Path, name: str) -> None:
    text, told = MISTAKES[name]
    file = tmp_path / "mine" / "team.toml"
    file.parent.mkdir()
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_teams(settings_from(PROMPTS_DIR=str(tmp_path)))
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{file}: {told}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    for name, text in (("one", "colour = 1\nroute = 'x'"), ("two", "tiers = ['x', 'y']")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "team.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_teams(settings_from(PROMPTS_DIR=str(tmp_path)))
    places = [line.split(": ")[:2] for line in str(raised.value).splitlines()]
    assert [(Path(file).parent.name, key) for file, key in places] == [
        ("one", "route"),
        ("one", "colour"),
        ("two", "tiers"),
        ("two", "tiers"),
    ]
