"""`scripts/format.sh` in a checkout of its own."""

import os
import subprocess
from pathlib import Path

MESSY = '"""A module."""\nimport os\nVALUES = {  \'a\':1 }\n'
TIDY = '"""A module."""\n\nVALUES = {"a": 1}\n'


def _formatted(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "format.sh", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(checkout.parent)},
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_formats_everything_and_mends_what_can_be_mended(checkout: Path) -> None:
    messy = checkout / "bench" / "messy.py"
    messy.parent.mkdir()
    messy.write_text(MESSY)
    done = _formatted(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert messy.read_text() == TIDY


def test_it_formats_only_what_is_named_from_where_it_is_named(checkout: Path) -> None:
    for name in ("named file.py", "other.py"):
        (checkout / name).write_text(MESSY)
    done = _formatted(checkout, f"{checkout.name}/named file.py")
    assert done.returncode == 0
    assert (checkout / "named file.py").read_text() == TIDY
    assert (checkout / "other.py").read_text() == MESSY


def test_what_needs_a_person_is_listed_and_the_rest_done_all_the_same(checkout: Path) -> None:
    wrong = checkout / "wrong.py"
    wrong.write_text(MESSY + "MORE = nowhere\n")
    done = _formatted(checkout)
    assert done.returncode == 1
    assert "F821" in done.stdout
    assert wrong.read_text() == TIDY + "MORE = nowhere\n"
