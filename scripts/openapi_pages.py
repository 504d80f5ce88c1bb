"""Renders an OpenAPI document as a page for people: `scripts/generate_docs.py` writes docs/api.md
with it. Knows no path and no field of this service; all words come from the document.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

BASE_URL = "http://127.0.0.1:8000"
TOKEN = "Authorization: Bearer $API_BEARER_TOKEN"
_KINDS = ("Used", "Accepted", "Refused")
_REFERENCE = re.compile(r'"#/components/schemas/(\w+)"')
_Json = dict[str, Any]


def api_page(document: _Json) -> str:
    """Return the page as Markdown."""
    return "\n\n".join(_blocks(document)) + "\n"


def _blocks(document: _Json) -> Iterator[str]:
    yield "# The API"
    yield "<!-- Written by scripts/generate_docs.py from the OpenAPI document. -->"
    yield document["info"]["description"].strip()
    yield (
        f"The examples ask a service at {BASE_URL}, with a token in `API_BEARER_TOKEN`. "
        "`GET /openapi.json` has this page for programs, `GET /docs` lets you try it."
    )
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for tag, description in tags.items():
        yield f"## {tag.capitalize()}"
        yield description
        for path, method, operation in _operations(document):
            if tag in operation["tags"]:
                yield from _operation(document, path, method, operation)
    yield from _errors(document)
    yield from _headers(document)
    yield from _objects(document)


def _operations(document: _Json) -> Iterator[tuple[str, str, _Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _operation(document: _Json, path: str, method: str, operation: _Json) -> Iterator[str]:
    yield f"### {method.upper()} {path}"
    yield f"{operation['summary']}. {operation['description']}"
    if operation.get("parameters"):
        yield "Parameters:"
        yield _table(
            ("name", "in", "type", "description"), map(_parameter, operation["parameters"])
        )
    body = operation.get("requestBody")
    if body:
        yield f"Request body. {body['description']}"
        yield _fields(_schema(document, _content(body)["schema"]))
    yield from _answers(document, operation)
    yield "Statuses:"
    rows = ((f"{status}", it["description"], _sent(it)) for status, it in _statuses(operation))
    yield _table(("status", "meaning", "further headers"), rows)
    yield from _examples(path, method, operation)


def _parameter(parameter: _Json) -> tuple[str, ...]:
    name = f"`{parameter['name']}`"
    return name, parameter["in"], _type(parameter["schema"]), parameter["description"]


def _statuses(operation: _Json) -> list[tuple[str, _Json]]:
    return sorted(operation["responses"].items())


def _sent(response: _Json) -> str:
    return ", ".join(f"`{name}`" for name in list(response["headers"])[2:])


def _answers(document: _Json, operation: _Json) -> Iterator[str]:
    for media_type, content in operation["responses"]["200"]["content"].items():
        schema = _schema(document, content["schema"])
        if schema.get("properties"):
            yield f"Response, `{media_type}`. {schema['description']}"
            yield _fields(schema)
        else:
            yield f"Response, `{media_type}`. {schema['description'].strip()}"


def _examples(path: str, method: str, operation: _Json) -> Iterator[str]:
    requests = _content(operation.get("requestBody", {})).get("examples", {"": {}})
    shown: set[str] = set()
    for name, request in requests.items():
        answers = [*_answers_named(operation, name)]
        shown |= {title for title, _ in answers}
        yield f"**{request.get('summary', 'Example')}**"
        streamed = any(block.startswith("```text") for _, block in answers)
        yield _curl(path, method, operation, name, streamed=streamed)
        for title, block in answers:
            yield f"{title}:"
            yield block
    for title, block in _answers_named(operation, ""):
        if title not in shown:
            yield f"**{title}**"
            yield block


def _answers_named(operation: _Json, name: str) -> Iterator[tuple[str, str]]:
    """Yield title and block of each example of an answer that has this name; without one, of
    all.
    """
    for media_type, content in operation["responses"]["200"]["content"].items():
        for key, example in content["examples"].items():
            if name in ("", key):
                yield example["summary"], _block(media_type, example["value"])


def _block(media_type: str, value: Any) -> str:
    if media_type == "application/json":
        return f"```json\n{_json(value)}\n```"
    return f"```text\n{value.strip()}\n```"


def _curl(path: str, method: str, operation: _Json, name: str, *, streamed: bool) -> str:
    headers = [TOKEN] if operation["security"] else []
    for parameter in operation.get("parameters", ()):
        value = parameter.get("examples", {}).get(name, {}).get("value")
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        elif value:
            headers.append(f"{parameter['name']}: {value}")
    lines = [f"curl -sS{'N' * streamed} {BASE_URL}{path}"]
    if "requestBody" in operation:
        headers.append("Content-Type: application/json")
        sent = _json(_content(operation["requestBody"])["examples"][name]["value"])
        data = [f"-d '{_quoted(sent)}'"]
    else:
        data = [] if method == "get" else [f"-X {method.upper()}"]
    lines += [f'-H "{header}"' for header in headers] + data
    return "```bash\n" + " \\\n  ".join(lines) + "\n```"


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _content(holder: _Json) -> _Json:
    return holder.get("content", {}).get("application/json", {})


def _errors(document: _Json) -> Iterator[str]:
    cases: dict[str, tuple[int, _Json]] = {}
    for _, _, operation in _operations(document):
        for status, response in _statuses(operation):
            for name, example in _content(response).get("examples", {}).items():
                if "error" in example["value"]:
                    cases[name] = (int(status), example)
    yield "## Errors"
    ordered = sorted(cases.values(), key=lambda case: case[0])
    yield "An error is this object; in a stream it is the last before `[DONE]`."
    yield _block("application/json", ordered[0][1]["value"])
    rows = (_case(status, example) for status, example in ordered)
    yield _table(("status", "when", "`type`", "`code`", "`message`, for example"), rows)


def _case(status: int, example: _Json) -> tuple[str, ...]:
    error = example["value"]["error"]
    code = f"`{error['code']}`" if error["code"] else "null"
    return str(status), example["summary"], f"`{error['type']}`", code, error["message"]


def _headers(document: _Json) -> Iterator[str]:
    yield "## Response headers"
    headers = document["components"]["headers"].items()
    rows = ((f"`{name}`", it["description"], f"`{it['example']}`") for name, it in headers)
    yield _table(("name", "description", "example"), rows)


def _objects(document: _Json) -> Iterator[str]:
    yield "## Objects"
    yield "What the tables above refer to."
    shown = {_name(schema) for schema in _top_level(document)} - {*_linked(document)}
    for name, schema in document["components"]["schemas"].items():
        if name in shown:
            continue
        yield f"### {name}"
        yield schema["description"]
        if "properties" in schema:
            yield _fields(schema)
        else:
            yield f"{_type(schema)}."


def _top_level(document: _Json) -> Iterator[_Json]:
    """Yield the schemas that stand at an operation already."""
    for _, _, operation in _operations(document):
        bodies = [operation.get("requestBody", {}), operation["responses"]["200"]]
        yield from (it["schema"] for it in map(_content, bodies) if "$ref" in it.get("schema", {}))


def _linked(document: _Json) -> set[str]:
    """Return the names of the schemas that other schemas refer to."""
    return set(_REFERENCE.findall(json.dumps(document["components"]["schemas"])))


def _fields(schema: _Json) -> str:
    required = schema.get("required", ())
    fields = list(schema["properties"].items())
    if all(it.get("description", "").startswith(_KINDS) for _, it in fields):
        fields.sort(key=lambda field: _kind(field[1]))
    rows = (
        (
            f"`{name}`{'' if name in required else ' (optional)'}",
            _type(it),
            it.get("description", ""),
        )
        for name, it in fields
    )
    return _table(("field", "type", "description"), rows)


def _kind(field: _Json) -> int:
    return next(at for at, word in enumerate(_KINDS) if field["description"].startswith(word))


def _schema(document: _Json, schema: _Json) -> _Json:
    if "$ref" not in schema:
        return schema
    return document["components"]["schemas"][_name(schema)]


def _name(reference: _Json) -> str:
    return reference["$ref"].rpartition("/")[2]


def _type(schema: _Json) -> str:
    """Return a schema's type in words, named schemas as links."""
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(it) for it in schema[several])
    if "$ref" in schema:
        return f"[{_name(schema)}](#{_name(schema).lower()})"
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{json.dumps(it)}`" for it in allowed)
    kinds: str | list[str] = schema.get("type", "any")
    words = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if any(schema.get(most) == 0 for most in ("maxItems", "maxProperties")):
        return f"empty {words}"
    if "items" in schema:
        words += f" of {_type(schema['items'])}"
    limits = _range(schema, "minimum", "maximum") or _range(schema, "minItems", "maxItems")
    return f"{words} ({limits})" if limits else words


def _range(schema: _Json, lowest: str, highest: str) -> str:
    least, most = schema.get(lowest), schema.get(highest)
    if least is not None and most is not None:
        return f"{least:,} to {most:,}" if least != most else f"{least:,}"
    if least is not None:
        return f"at least {least:,}"
    return f"at most {most:,}" if most is not None else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
