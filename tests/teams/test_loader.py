"""A team's folder: what it may say, what it inherits, and every mistake with its file and key."""

from pathlib import Path
from typing import Any

import pytest

from chat import answer_of, ask
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams import catalog
from orchestrator_worker.teams.loader import bundled_prompts, load_teams
from orchestrator_worker.teams.team import Team
from running_service import settings_from


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, "utf-8")


def load(folder: Path, **variables: str) -> dict[str, Team]:
    return load_teams(settings_from(PROMPTS_DIR=str(folder), **variables))


def test_the_bundled_team_is_complete() -> None:
    teams = load_teams(settings_from())
    assert set(teams) == {"orchestrator-worker"}
    assert (bundled_prompts() / "default" / "team.toml").is_file()


def test_a_team_overrides_what_it_names_and_inherits_the_rest(tmp_path: Path) -> None:
    write(
        tmp_path / "legal",
        team_toml="""
            description = "For contracts."
            route = "always"
            progress = false
            [lead]
            model = "claude-opus-5-5"
            effort = "high"
            [worker]
            max_tokens = 99
            [timeouts]
            coordination = 100
            [caps]
            max_subtasks = 3
        """,
        worker_md='You read contracts.\n<!-- turn -->\n{{instructions}} JSON: {"a": {}} 100%',
    )
    team = load(tmp_path, SYNTHESIS_TIMEOUT="7")["legal"]
    assert (team.route, team.progress, team.description) == ("always", False, "For contracts.")
    assert (team.lead.model, team.lead.effort, team.lead.max_tokens) == (
        "claude-opus-5-5",
        "high",
        8192,
    )
    assert (team.worker.model, team.worker.max_tokens) == ("claude-haiku-5-5", 99)
    assert (team.deadlines.coordination_seconds, team.deadlines.synthesis_seconds) == (100, 7)
    assert team.caps.max_subtasks == 3
    assert team.worker.system.text == "You read contracts."
    assert team.worker.turn.fill({"instructions": "{{title}} %s"}) == (
        '{{title}} %s JSON: {"a": {}} 100%'
    )
    assert "final" in team.synthesizer.system.text or "answer" in team.synthesizer.system.text


def test_a_team_may_choose_everything(tmp_path: Path) -> None:
    write(
        tmp_path / "mine",
        team_toml="""
            plan_form = "text"
            prompt_level = "planned"
            synthesis = "list"
            missing_dependency = "skip"
            evaluate = true
            tiers = ["opus", "sonnet"]
            reduce_above_tokens = 1000
            [lead]
            model = "opus"
            [evaluator]
            model = "sonnet"
            min_score = 0
            effort = "max"
            [caps]
            max_rounds = 10
            max_concurrent_workers = 1
            [types.a]
            [types."b.C-1"]
            description = "B"
            tier = "haiku"
            schema = {type = "object", required = ["x"]}
        """,
    )
    team = load(tmp_path, MODEL_OPUS="dearest")["mine"]
    assert (team.plan_form, team.level, team.synthesis) == ("text", "planned", "list")
    assert (team.missing_dependency, team.reduce_above_tokens) == ("skip", 1000)
    # Cheapest first, whatever their order in the file; a type's own is not the lead's choice.
    assert [tier.name for tier in team.tiers] == ["sonnet", "opus"]
    assert [tier.name for tier in team.chosen_tiers] == ["haiku"]
    assert (team.lead.model, team.model_of("opus")) == ("dearest", "dearest")
    assert team.evaluator
    assert (team.evaluator.model, team.evaluator.min_score) == ("claude-sonnet-5-5", 0)
    assert (team.evaluator.effort, team.evaluator.max_tokens) == ("max", 8192)
    assert (team.caps.max_rounds, team.caps.max_concurrent_workers) == (10, 1)
    assert (team.types["a"].output, team.types["b.C-1"].output) == (None, "json")
    assert team.worker.system.text == ""  # the lead writes all of the worker's prompt


def test_each_section_is_inherited_by_itself(tmp_path: Path) -> None:
    write(
        tmp_path / "default",
        lead_md="Default lead.\n<!-- repair -->\nDefault repair {{reasons}}",
        worker_md="Default worker.\n<!-- redo -->\nDefault {{previous}} {{feedback}}",
        synthesizer_md="Default synthesizer.",
    )
    write(
        tmp_path / "mine",
        lead_md="My lead.\n<!-- tiers -->\nMy {{tiers}}",
        evaluator_md="My evaluator, {{min_score}}.",
        team_toml="evaluate = true",
    )
    bundled = load_teams(settings_from())["orchestrator-worker"]
    teams = load(tmp_path)
    mine, default = teams["mine"], teams["orchestrator-worker"]
    assert (mine.lead.system.text, default.lead.system.text) == ("My lead.", "Default lead.")
    assert mine.lead.tiers.text == "My {{tiers}}"
    assert mine.lead.repair.text == default.lead.repair.text == "Default repair {{reasons}}"
    assert mine.lead.rest == default.lead.rest == bundled.lead.rest
    assert mine.worker.system.text == "Default worker."
    assert mine.worker.redo.text == "Default {{previous}} {{feedback}}"
    assert mine.worker.turn == bundled.worker.turn
    assert mine.synthesizer.system.text == "Default synthesizer."
    assert mine.synthesizer.reduce == bundled.synthesizer.reduce
    assert mine.evaluator
    assert mine.evaluator.system.text == "My evaluator, {{min_score}}."
    assert default.evaluator is None


@pytest.mark.parametrize("name", ["title", "item", "instructions"])
def test_a_fixed_turn_needs_one_place_for_the_subtask(tmp_path: Path, name: str) -> None:
    turn = f"role\n<!-- turn -->\nWrite {{{{{name}}}}} {{{{id}}}} {{{{type}}}} {{{{results}}}}"
    write(tmp_path / "mine", team_toml="prompt_level = 'fixed'", worker_md=turn)
    assert name in load(tmp_path)["mine"].worker.turn.placeholders


BRIEF = "Be brief.\n<!-- turn -->\n{{results}}\n<!-- gap-note -->\n{{gaps}}"
FIXED_LEVEL = "prompt_level = 'fixed'"
SECTIONS = {
    "lead_md": (
        *("delegate", "plan", "level-fixed", "level-planned", "level-guarded"),
        *("types", "tiers", "text-plan", "rest", "repair", "review"),
    ),
    "worker_md": ("turn", "json-output", "redo"),
    "evaluator_md": ("turn",),
    "synthesizer_md": ("turn", "heading", "gap-note", "reduce", "reduce-turn"),
}
MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "an unknown key": ({"team_toml": "colour = 'red'"}, r"team\.toml: colour"),
    "an unknown nested key": ({"team_toml": "[lead]\nmodle = 'x'"}, r"team\.toml: lead\.modle"),
    "a wrong type": ({"team_toml": "progress = 'yes'"}, r"team\.toml: progress"),
    "an unknown route": ({"team_toml": "route = 'maybe'"}, r"team\.toml: route"),
    "sections that are evaluated": (
        {"team_toml": "synthesis = 'sections'\nevaluate = true"},
        r"team\.toml: evaluate: passed-on sections are final, so they cannot be done again",
    ),
    "not TOML": ({"team_toml": "= ="}, r"team\.toml: is not TOML"),
    "a bad id": ({"team_toml": "model_id = 'a b'"}, r"team\.toml: model_id"),
    "a misspelt file": ({"leed_md": "x"}, r"leed\.md: is not one of evaluator\.md"),
    "an empty section": (
        {"worker_md": "role\n<!-- turn -->\n"},
        r"worker\.md: section 'turn' is empty",
    ),
    "an empty system prompt": ({"worker_md": "<!-- turn -->\n{{instructions}}"}, r"'system'"),
    "a missing placeholder": (
        {"worker_md": "role\n<!-- turn -->\nDo it."},
        r"worker\.md: section 'turn': placeholder \{\{instructions\}\} is missing",
    ),
    "an unknown placeholder": (
        {"worker_md": "role\n<!-- turn -->\n{{instructions}} {{colour}}"},
        r"placeholder \{\{colour\}\} is not known here",
    ),
    "a subtask's placeholder in the shared part": (
        {"worker_md": "role {{title}}\n<!-- turn -->\n{{instructions}}"},
        r"section 'system': placeholder \{\{title\}\} is not known here",
    ),
    "an unknown section": (
        {"worker_md": "role\n<!-- turn -->\n{{instructions}}\n<!-- extra -->\nx"},
        r"section 'extra' is not known here",
    ),
    **{
        f"{section!r} without {{{{{name}}}}}": (
            {file: f"role\n<!-- {section} -->\nno place"},
            rf"{file.replace('_', '.')}: section '{section}': "
            rf"placeholder \{{\{{{name}\}}\}} is missing",
        )
        for file, section, name in (
            ("lead_md", "types", "types"),
            ("lead_md", "tiers", "tiers"),
            ("lead_md", "rest", "subtasks"),
            ("lead_md", "repair", "reasons"),
            ("lead_md", "review", "results"),
            ("worker_md", "turn", "instructions"),
            ("worker_md", "redo", "previous"),
            ("worker_md", "redo", "feedback"),
            ("evaluator_md", "turn", "results"),
            ("synthesizer_md", "turn", "results"),
            ("synthesizer_md", "heading", "title"),
            ("synthesizer_md", "gap-note", "gaps"),
            ("synthesizer_md", "reduce-turn", "results"),
        )
    },
    **{
        f"an unknown placeholder in {section!r}": (
            {file: f"role\n<!-- {section} -->\n{{{{colour}}}}"},
            rf"section '{section}'.*placeholder \{{\{{colour\}}\}} is not known here",
        )
        for file, sections in SECTIONS.items()
        for section in sections
    },
    "a placeholder in the evaluator's role": ({"evaluator_md": "{{results}}"}, r"\{\{results\}\}"),
    "a placeholder in the synthesizer's role": ({"synthesizer_md": "{{gaps}}"}, r"\{\{gaps\}\}"),
    "a fixed turn without a place for the subtask": (
        {"team_toml": FIXED_LEVEL, "worker_md": "role\n<!-- turn -->\n{{id}} {{results}}"},
        r"worker\.md: section 'turn': placeholder "
        r"\{\{instructions\}\} or \{\{item\}\} or \{\{title\}\} is missing",
    ),
    "a fixed turn without a place for a type's prompt": (
        {
            "team_toml": f"{FIXED_LEVEL}\n[types.a]\nprompt = 'x'",
            "worker_md": "role\n<!-- turn -->\nWrite {{title}}.",
        },
        r"team\.toml: types\.a\.prompt: .* no place for it",
    ),
    "a section twice": (
        {"worker_md": "role\n<!-- turn -->\n{{instructions}}\n<!-- turn -->\n{{instructions}}"},
        r"section <!-- turn --> stands twice",
    ),
}


@pytest.mark.parametrize(("files", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_names_its_file_and_place(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    write(tmp_path / "mine", **{"team_toml": "", **files})
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path)


def test_a_folder_with_any_known_file_is_a_team(tmp_path: Path) -> None:
    write(tmp_path / "brief", synthesizer_md=BRIEF)
    (tmp_path / ".git").mkdir()
    assert load(tmp_path)["brief"].synthesizer.system.text == "Be brief."


@pytest.mark.parametrize(
    ("name", "message"), [("empty", "holds none of"), ("My Team", "a team's name may hold")]
)
def test_a_folder_that_cannot_be_a_team_is_named(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path / name, **({} if name == "empty" else {"team_toml": ""}))
    with pytest.raises(ConfigurationError, match=f"{name}: {message}"):
        load(tmp_path)


def test_files_that_are_not_text_are_named(tmp_path: Path) -> None:
    write(tmp_path / "mine", team_toml="")
    (tmp_path / "mine" / "lead.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"lead\.md: is not UTF-8"):
        load(tmp_path)


def test_a_folder_must_hold_teams_and_each_id_one_team(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PROMPTS_DIR"):
        load(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="PROMPTS_DIR"):
        load(tmp_path / "file")
    (tmp_path / "file").unlink()
    with pytest.raises(ConfigurationError, match="holds no team"):
        load(tmp_path)
    write(tmp_path / "one", team_toml="model_id = 'same'")
    write(tmp_path / "two", team_toml="model_id = 'same'")
    with pytest.raises(ConfigurationError, match=r"two/team\.toml: model_id: 'same' is taken"):
        load(tmp_path)


@pytest.mark.parametrize("route", ["always", "never"])
async def test_a_teams_route_decides(
    start_service: StartService, upstream: DumbUpstream, tmp_path: Path, route: str
) -> None:
    write(tmp_path / "teams" / "mine", team_toml=f"route = '{route}'")
    service = await start_service(
        upstream,
        PROMPTS_DIR=str(tmp_path / "teams"),
    )
    plan = '{"subtasks": [{"id": "a", "instructions": "x"}, {"id": "b", "instructions": "y"}]}'
    upstream.answer("lead", Reply(text=plan if route == "always" else "direct"))
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="whole"))
    async with service.client() as client:
        response = await ask(client, model="mine")
    sent: dict[str, Any] = upstream.calls[0].body
    assert "tools" not in sent
    if route == "always":
        assert answer_of(response) == "whole"
        assert sent["output_config"]["format"]["type"] == "json_schema"
        assert len(upstream.calls_of("worker")) == 2
        # Told to plan, and nothing of the choice that it does not have.
        assert "choose one of two ways" not in upstream.calls[0].system_text
    else:
        assert answer_of(response) == "direct"
        assert "system" not in sent
        assert "format" not in sent["output_config"]


async def test_a_changed_team_is_served_without_a_restart_and_a_broken_one_changes_nothing(
    start_service: StartService,
    upstream: DumbUpstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "LOOK_SECONDS", 0.0)
    folder = tmp_path / "teams"
    write(folder / "mine", team_toml="description = 'first'")
    service = await start_service(upstream, PROMPTS_DIR=str(folder))

    async with service.client() as client:

        async def served() -> dict[str, str]:
            models = (await client.get("/v1/models")).json()["data"]
            return {model["id"]: model["description"] for model in models}

        assert await served() == {"mine": "first"}
        write(folder / "mine", team_toml="description = 'the second'")
        write(folder / "another", team_toml="")
        assert await served() == {"mine": "the second", "another": ""}
        write(folder / "another", team_toml="nonsense = 1")
        assert await served() == {"mine": "the second", "another": ""}
        (told,) = await service.logged("teams_not_reloaded")
        assert "nonsense" in told["problems"][0]
        write(folder / "another", team_toml="description = 'mended'")
        assert (await served())["another"] == "mended"
