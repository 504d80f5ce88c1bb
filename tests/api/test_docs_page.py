"""/docs: a page that needs nobody but this service, and is allowed nobody else."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2
import pytest

from conftest import StartService
from stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]


class Page(HTMLParser):
    """What a page loads, and what of it stands in the page itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[tuple[str, str]] = []
        """Tag and address."""
        self.inline: list[str] = []
        """Tags and attributes that hold scripts or styles."""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        address = named.get("src") or named.get("href")
        if address:
            self.loads.append((tag, address))
        elif tag in {"script", "style"}:
            self.inline.append(tag)
        self.inline += [name for name in named if name == "style" or name.startswith("on")]


async def page_of(stage: Stage) -> tuple[httpx2.Response, Page]:
    response = await stage.http.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    return response, Page(response.text)


async def test_all_that_the_page_loads_comes_from_the_service_itself(stage: Stage) -> None:
    response, page = await page_of(stage)
    types = {"script": "text/javascript", "link": ("text/css", "image/png")}
    assert {tag for tag, _ in page.loads} == set(types)
    for tag, address in page.loads:
        assert not re.match(r"[a-z]+:|/", address), "not relative, so it breaks behind a prefix"
        asset = await stage.http.get(urljoin(str(response.url), address))
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(types[tag])
        assert len(asset.content) > 100
    start = (await stage.http.get("/docs/start.js")).text
    (described,) = re.findall(r'url: "([^"]+)"', start)
    assert (await stage.http.get(urljoin(str(response.url), described))).json()["openapi"]
    assert "//" not in start
    assert "persistAuthorization: true" in start


async def test_the_page_is_allowed_what_it_needs_and_no_more(stage: Stage) -> None:
    response, page = await page_of(stage)
    policy = {
        name: sources
        for name, *sources in (
            part.split() for part in response.headers["content-security-policy"].split(";")
        )
    }
    assert policy == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert page.inline == []  # which that policy would not let run
    style = (await stage.http.get("/docs/swagger-ui.css")).text
    addresses = [it.strip("\"'") for it in re.findall(r"url\(([^)]{0,20})", style)]
    assert addresses
    assert {it.partition(":")[0] for it in addresses} == {"data"}


async def test_no_other_answer_gets_the_pages_policy(stage: Stage) -> None:
    for path in ("/openapi.json", "/docs/start.js", "/docs/swagger-ui.css", "/docs/nothing.js"):
        response = await stage.http.get(path)
        assert response.headers["content-security-policy"].startswith("default-src 'none'; frame")


async def test_the_page_keeps_its_policy_without_the_usual_headers(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(stage.upstream, ENABLE_SECURITY_HEADERS="false")
    async with service.client() as client:
        response = await client.get("/docs")
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert "content-security-policy" not in (await client.get("/health")).headers


async def test_a_browser_need_not_fetch_a_file_twice(stage: Stage) -> None:
    first = await stage.http.get("/docs/swagger-ui-bundle.js")
    assert first.headers["cache-control"] == "no-cache"
    asked = {"if-none-match": first.headers["etag"]}
    again = await stage.http.get("/docs/swagger-ui-bundle.js", headers=asked)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/docs/", "/docs/nothing.js", "/docs/..%2f__init__.py", "/docs/%2e%2e/main.py"],
)
async def test_nothing_else_is_served_under_the_page(stage: Stage, path: str) -> None:
    response = await stage.http.get(path)
    assert response.status_code == 404
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


async def test_the_title_is_text_whatever_it_holds(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(stage.upstream, API_TITLE="</title><script>x</script>")
    async with service.client() as client:
        assert "<title>&lt;/title&gt;&lt;script&gt;" in (await client.get("/docs")).text
        assert (await client.get("/openapi.json")).json()["info"]["title"].startswith("</title>")


async def test_page_and_description_can_be_off(start_service: StartService, stage: Stage) -> None:
    service = await start_service(stage.upstream, ENABLE_DOCS="false")
    async with service.client() as client:
        for path in ("/docs", "/openapi.json", "/docs/start.js", "/docs/swagger-ui-bundle.js"):
            response = await client.get(path)
            assert response.status_code == 404
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert (await client.get("/v1/models")).status_code == 200
