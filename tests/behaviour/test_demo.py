"""The demo, as somebody runs it who has just got the repository."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SECTIONS = "Summarise each section in one sentence, then say what is missing"


@pytest.mark.parametrize(
    "words",
    [[], ["--file", str(ROOT / "ARCHITECTURE.md"), SECTIONS]],
    ids=["default question", "a file"],
)
@pytest.mark.timeout(300)
def test_the_demo_runs_from_any_directory(tmp_path: Path, words: list[str]) -> None:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [ROOT / "scripts" / "demo.sh", *words],
        env={**plain, "DATA_DIR": str(tmp_path / "data")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(simulated)" in done.stdout
    assert done.stdout.count("## ") >= 3
    for word in ("No ANTHROPIC_API_KEY", "planned", "✓", "lead", "worker", "synthesizer", "total"):
        assert word in done.stderr
    assert "The same tokens on claude-sonnet-5-5 alone: $" in done.stderr
    assert max(map(len, done.stderr.splitlines()[2:])) <= 100
