"""docs/teams.md: its teams work, and it names every key and every section there is."""

import re
from pathlib import Path

from chat import answer_of
from orchestrator_worker.config import Settings
from orchestrator_worker.simulator import EmbeddedSimulator, Script
from orchestrator_worker.teams.loader import bundled_prompts, load_teams
from orchestrator_worker.teams.team_file import TeamFile
from running_service import settings_from
from served_teams import AS_BUNDLED
from simulated import INSTANT, simulated
from tests.docs.snippets import ROOT, blocks_of
from tests.docs.teams_shown import teams_shown

PAGE = (ROOT / "docs" / "teams.md").read_text("utf-8")
TEAMS = teams_shown(blocks_of("docs/teams.md"))
QUESTIONS = {
    "translate": "Translate 'The shop is closed on Monday.' into French, German and Spanish.",
    "second-opinion": "I want to give up my job and open a bakery.",
}


async def test_the_teams_of_the_page_answer(tmp_path: Path) -> None:
    assert set(TEAMS) == set(QUESTIONS)
    script = Script.from_json({"latencies": INSTANT})
    async with (
        EmbeddedSimulator(script) as simulator,
        simulated(tmp_path, simulator.url, {**AS_BUNDLED, **TEAMS}) as running,
    ):
        for name, question in QUESTIONS.items():
            response = await running.ask(
                name,
                messages=[{"role": "user", "content": question}],
                headers={"x-orchestration": "usage, results"},
            )
            report = response.json()["orchestration"]
            assert report["partial"] is False
            assert "synthesizer" not in {agent["role"] for agent in report["agents"]}
            titles = [result["title"] for result in report["results"]]
            assert len(titles) == 3
            answer = answer_of(response)
            places = [answer.index(f"## {title}\n") for title in titles]
            assert places == sorted(places)


def test_the_page_names_every_key() -> None:
    named = set(re.findall(r"`\[*([a-z_]+)(?:\.NAME)?\]*`", PAGE))
    keys = {field.alias or name for name, field in TeamFile.model_fields.items()}
    assert keys <= named


def test_the_page_names_every_section() -> None:
    named = set(re.findall(r"`([a-z-]+)`", PAGE))
    sections = {
        section
        for file in (bundled_prompts() / "default").glob("*.md")
        for section in re.findall(r"^<!-- ([a-z-]+) -->$", file.read_text("utf-8"), re.MULTILINE)
    }
    assert sections <= named


def test_every_key_of_the_bundled_team_can_be_switched_on(tmp_path: Path) -> None:
    bundled = (bundled_prompts() / "default" / "team.toml").read_text("utf-8")
    keys = set(re.findall(r"^# ([a-z_]+) = ", bundled, re.MULTILINE))
    without_comment = re.sub(r"^# ([a-z_]+ = .*)$", r"\1", bundled, flags=re.MULTILINE)
    # `effort` stands under a commented table, where alone it would be a key of the team.
    text = without_comment.replace('effort = "high"', "")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "team.toml").write_text(text)
    settings: Settings = settings_from(PROMPTS_DIR=str(tmp_path))
    (team,) = load_teams(settings).values()
    (default,) = load_teams(settings_from()).values()
    assert keys - {"effort"} <= set(TeamFile.model_fields)
    assert team.tiers == default.tiers  # what stands there is the default
    assert (team.route, team.synthesis, team.evaluator) == ("auto", "write", None)
