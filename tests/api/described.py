"""The API's description as a judge of responses: nothing may come that it does not name."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs

_SEVERAL = ("anyOf", "oneOf", "allOf")
_TOLD_OF = {
    *("x-request-id", "server-timing", "retry-after", "www-authenticate"),
    *("x-should-retry", "allow", "idempotent-replayed"),
}
"""Headers that concern a caller; all others are the browser's or the protocol's."""


def closed(schema: dict[str, Any], *, branch: bool = False) -> dict[str, Any]:
    """Return the schema as one that allows no other keys than it names.

    `branch`: one of several, whose parent is closed in its place.
    """
    shut = dict(schema)
    if "properties" in schema:
        shut["properties"] = {name: closed(it) for name, it in schema["properties"].items()}
    if "items" in schema:
        shut["items"] = closed(schema["items"])
    for several in _SEVERAL:
        if several in schema:
            shut[several] = [closed(it, branch=True) for it in schema[several]]
    if not branch and {"$ref", "properties", *_SEVERAL} & schema.keys():
        shut["unevaluatedProperties"] = False
    return shut


class Description:
    """The OpenAPI document of a running service."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.schemas: dict[str, dict[str, Any]] = document["components"]["schemas"]
        self._components = {
            "schemas": {n: closed(it, branch=True) for n, it in self.schemas.items()}
        }

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield each path, method and operation."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method, operation

    def operation(self, path: str) -> dict[str, Any]:
        """Return the one operation of a path."""
        (operation,) = self.document["paths"][path].values()
        return operation

    def validate(self, schema: dict[str, Any], value: Any) -> None:
        """Fail when the value has something wrong, or something that is not named."""
        whole = {**closed(schema), "components": self._components}
        validator = jsonschema_rs.Draft202012Validator(whole)
        mistakes = [f"{it.instance_path}: {it.message}" for it in validator.iter_errors(value)]
        assert not mistakes, mistakes

    def validate_named(self, name: str, value: Any) -> None:
        self.validate({"$ref": f"#/components/schemas/{name}"}, value)

    def check(self, path: str, response: httpx2.Response) -> None:
        """Fail unless this path's description covers the response: status, headers, body."""
        described = self.operation(path)["responses"][str(response.status_code)]
        self._check_headers(described["headers"], response)
        media_type = response.headers["content-type"].partition(";")[0]
        content = described["content"][media_type]
        if media_type == "text/event-stream":
            self.check_stream(response.text)
        else:
            self.validate(content["schema"], response.json())

    def _check_headers(self, described: dict[str, Any], response: httpx2.Response) -> None:
        known = self.document["components"]["headers"]
        sent = {name.lower() for name in response.headers} & _TOLD_OF
        if response.headers.get("connection") == "close":
            sent.add("connection")
        assert sent <= {name.lower() for name in described}
        for name in described:
            header = known[name]
            assert not header.get("required") or name.lower() in sent
            if name.lower() in sent:
                text = response.headers[name]
                value = int(text) if header["schema"]["type"] == "integer" else text
                self.validate(header["schema"], value)

    def check_stream(self, text: str) -> None:
        """Fail unless the stream has the grammar that is described in words."""
        *pieces, end, rest = text.split("\n\n")
        assert (end, rest) == ("data: [DONE]", "")
        frames = [json.loads(piece.removeprefix("data: ")) for piece in pieces if piece[0] != ":"]
        first, *later = frames
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        failed = "error" in frames[-1]
        for frame in frames[:-1] if failed else frames:
            self.validate_named("ChatCompletionChunk", frame)
            assert [frame[key] for key in ("id", "created", "model")] == [
                first[key] for key in ("id", "created", "model")
            ]
        ends = [it for it in later if "choices" in it and _finishes(it)]
        assert len(ends) == (0 if failed else 1)
        if failed:
            self.validate_named("StreamError", frames[-1])
        else:
            # What follows the last of its choices is the usage alone.
            assert [it["choices"] for it in frames[frames.index(ends[0]) + 1 :]] in ([], [[]])


def _finishes(chunk: dict[str, Any]) -> bool:
    return any(choice["finish_reason"] for choice in chunk["choices"])
