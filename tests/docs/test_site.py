"""The documentation as a site: it builds strictly, links hold, and nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests.docs.snippets import ROOT

CONFIG = ROOT / "mkdocs.yml"
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Assets(HTMLParser):
    """Collects what a browser loads by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if address := dict(attrs).get(LOADS.get(tag, "")):
            self.found.append(address)


def build(folder: Path, *, config: Path = CONFIG) -> subprocess.CompletedProcess[str]:
    command = ["mkdocs", "build", "--strict", "--config-file", config, "--site-dir", folder]
    return subprocess.run(
        [sys.executable, "-m", *command],
        env={"PATH": os.environ["PATH"], "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    told = set(
        re.findall(r"[\w/.-]+\.md", yaml.safe_dump(yaml.safe_load(CONFIG.read_text())["nav"]))
    )
    assert told == pages
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert pages <= built


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    loaded: set[str] = set()
    for page in site.rglob("*.html"):
        assets = Assets()
        assets.feed(page.read_text("utf-8"))
        loaded |= set(assets.found)
    styles = [sheet.read_text("utf-8") for sheet in site.rglob("*.css")]
    loaded |= {url for sheet in styles for url in re.findall(r"url\(['\"]?([^)'\"]+)", sheet)}
    assert len(loaded) > 5
    assert [it for it in loaded if re.match(r"(?!data:)(\w+:)?//|https?:", it)] == []


def test_the_picture_of_a_run_is_on_its_page(site: Path) -> None:
    page = (site / "how-it-works.html").read_text("utf-8")
    for picture in ("pictures/run.svg", "pictures/timeline.svg"):
        assert f'src="{picture}"' in page
        assert (site / picture).is_file()


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("[gone](nowhere.md)", "nowhere.md"),
        ("[gone](index.md#nowhere)", "#nowhere"),
        ("[outside](../README.md)", "../README.md"),
        ("[rooted](/index.md)", "/index.md"),
    ],
)
def test_a_broken_link_is_found_out(page: str, complaint: str, tmp_path: Path) -> None:
    settings = yaml.safe_load(CONFIG.read_text()) | {"nav": [{"Start": "index.md"}]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n{page}\n")
    done = build(tmp_path / "site", config=tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert complaint in done.stderr
