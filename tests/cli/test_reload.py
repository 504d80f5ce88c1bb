"""`serve --reload`: a change of the code starts the service again; nothing is left behind."""

import json
import shutil
import signal
from pathlib import Path

from cli.commands import running

ROOT = Path(__file__).parent.parent.parent


def test_a_change_of_the_code_starts_the_service_again(tmp_path: Path) -> None:
    for name in ("src", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "console_client.py", tmp_path)
    place = {"PYTHONPATH": str(tmp_path / "src"), "DATA_DIR": str(tmp_path / "data")}
    with running("serve", "--reload", cwd=tmp_path, API_PORT="0", **place) as (process, line):
        assert process.stdout
        assert json.loads(line)["event"] == "listening"
        with (tmp_path / "src" / "orchestrator_worker" / "ids.py").open("a") as file:
            file.write("\n# changed\n")
        events = (json.loads(line)["event"] for line in process.stdout if line.startswith("{"))
        assert "listening" in events
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
