"""GET /docs, /openapi.json, and the files under /docs/ that the page needs.

The page is Swagger UI, whose files come with the package `fastapi-swagger`; nothing is loaded from
another host, and the page's own policy allows nothing else. No code of that package runs.
"""

import html
import os
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from orchestrator_worker.api.errors import JSONResponse

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI draws its icons from `data:` addresses; all else comes from this service."""

# Relative addresses, so that the page also works behind a proxy that puts a prefix before it.
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# A file, since the policy lets no script run that stands in the page.
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


# Told here: what the machine knows of file types is read from its disk, and may be anything.
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}


class _SwaggerFiles(StaticFiles):
    """The package's files; a browser may keep them, but asks whether they are still the same."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or that it has not changed."""
        response = FileResponse(
            full_path,
            status_code=status_code,
            headers={"cache-control": "no-cache"},
            media_type=_MEDIA_TYPES.get(Path(full_path).suffix, "application/octet-stream"),
            stat_result=stat_result,
        )
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def docs_routes(app: FastAPI) -> Sequence[BaseRoute]:
    """Return the routes of the description and its page."""
    page = _PAGE.format(title=html.escape(app.title))

    async def description(_request: Request) -> Response:
        # In a thread: it takes a tenth of a second once, and streams must not wait for it.
        return JSONResponse(await run_in_threadpool(app.openapi))

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": _POLICY})

    async def start(_request: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    return (
        Route("/openapi.json", description),
        Route("/docs", docs),
        Route("/docs/start.js", start),
        Mount("/docs", _SwaggerFiles(packages=[("fastapi_swagger", "resources")])),
    )
