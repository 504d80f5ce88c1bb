"""Pictures and files in messages: what becomes of them on their way to Claude, that the service
opens no address itself, and who is told what is wrong with them.
"""

import asyncio
import struct
import zlib
from base64 import b64encode
from typing import Any

import pytest

from chat import QUESTION, answer_of
from dumb_upstream import Reply, Status
from plans import subtasks
from stage import Stage
from worker_turns import WORKER_PROMPT

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({"default": {"worker.md": WORKER_PROMPT}}, MAX_CONCURRENT_WORKERS="1"),
]


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    )


PICTURES = {
    "image/png": png(),
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xd9",
    "image/gif": b"GIF89a\1\0\1\0\0\0\0;",
    "image/webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88"
    b"\x88\xfe\x07\0",
}
PDF = b"%PDF-1.4\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


def data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{encoded(data)}"


def picture(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(data: str, **more: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, **more}}


def user(*parts: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts), **more}]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


async def sent(stage: Stage, messages: Any) -> list[dict[str, Any]]:
    """Return the blocks of the last turn as Claude gets them."""
    stage.upstream.answer("lead", Reply(text="ok"))
    assert answer_of(await stage.ask(messages=messages)) == "ok"
    return stage.upstream.calls[-1].body["messages"][-1]["content"]


async def refused(stage: Stage, messages: Any) -> dict[str, Any]:
    response = await stage.ask(messages=messages)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert stage.upstream.calls == []
    return error


def block(media_type: str) -> dict[str, Any]:
    data = encoded(PICTURES[media_type])
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }


@pytest.mark.parametrize("said_to_be", ["right", "image/png", "image/jpg", "application/x-odd", ""])
@pytest.mark.parametrize("media_type", PICTURES)
async def test_a_picture_goes_up_as_what_it_is(
    stage: Stage, media_type: str, said_to_be: str
) -> None:
    called = media_type if said_to_be == "right" else said_to_be
    part = picture(data_url(PICTURES[media_type], called), detail="low")
    assert await sent(stage, user(text("What is this?"), part)) == [
        {"type": "text", "text": "What is this?"},
        block(media_type),
    ]


async def test_a_data_url_may_be_written_loosely(stage: Stage) -> None:
    folded = "\n".join(encoded(PICTURES["image/png"])[at : at + 20] for at in range(0, 200, 20))
    for url in (
        f"DATA:Image/PNG;Base64,{encoded(PICTURES['image/png'])}",
        f"data:image/png;name=a.png;base64,{encoded(PICTURES['image/png'])}",
        f"data:image/png;base64,{folded}",
    ):
        assert await sent(stage, user(picture(url))) == [block("image/png")]


async def test_a_bare_address_is_taken_as_well(stage: Stage) -> None:
    bare = {"type": "image_url", "image_url": data_url(PICTURES["image/gif"], "image/gif")}
    assert await sent(stage, user(bare)) == [block("image/gif")]


async def test_an_address_goes_up_as_it_is_and_is_never_opened(stage: Stage) -> None:
    opened = asyncio.Event()

    async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.set()
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        urls = [f"https://127.0.0.1:{port}/a.png", f"HTTPS://localhost:{port}/?x=1#y"]
        for url in urls:
            assert await sent(stage, user(picture(url))) == [
                {"type": "image", "source": {"type": "url", "url": url.replace("HTTPS", "https")}}
            ]
        stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
        stage.upstream.answer("worker", Reply(text="done"))
        stage.upstream.answer("synthesizer", Reply(text="ok"))
        assert answer_of(await stage.ask(messages=user(picture(urls[0])))) == "ok"
        assert not opened.is_set()
        # The watch itself works.
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        async with asyncio.timeout(5):
            await opened.wait()


GOOD_PNG = data_url(PICTURES["image/png"], "image/png")
UNFIT = {
    "http://example.com/a.png": "https: address or a data: URL",
    "ftp://example.com/a.png": "https: address or a data: URL",
    "file:///etc/passwd": "https: address or a data: URL",
    "": "https: address or a data: URL",
    "data:image/png;base64,???": "is not valid base64",
    GOOD_PNG[:-3]: "is not valid base64",
    "data:image/png;base64,": "is empty",
    "data:image/png,abc": "must be a data: URL in base64",
    data_url(SVG, "image/svg+xml"): "is not a PNG, JPEG, GIF or WebP image",
    data_url(b"BM" + b"\0" * 50, "image/png"): "is not a PNG, JPEG, GIF or WebP image",
    data_url(b"RIFF\x1a\0\0\0WAVEfmt ", "image/webp"): "is not a PNG, JPEG, GIF or WebP image",
    data_url(PDF, "application/pdf"): "is not a PNG, JPEG, GIF or WebP image",
    data_url(b"x", "image/png"): "is not a PNG, JPEG, GIF or WebP image",
}


@pytest.mark.parametrize("url", UNFIT)
@pytest.mark.parametrize("bare", [False, True])
async def test_what_is_no_picture_is_refused_where_it_stands(
    stage: Stage, url: str, bare: bool
) -> None:
    part = {"type": "image_url", "image_url": url} if bare else picture(url)
    error = await refused(stage, [*user(text("hi")), *user(text("this?"), part)])
    assert UNFIT[url] in error["message"]
    assert error["param"] == "messages.1.content.1.image_url"
    assert error["code"] == "invalid_value"


def document(kind: str, media_type: str, data: str, **title: str) -> dict[str, Any]:
    source = {"type": kind, "media_type": media_type, "data": data}
    return {"type": "document", "source": source, **title}


FILES = {
    "pdf": (PDF, "application/pdf", document("base64", "application/pdf", encoded(PDF))),
    "mislabelled": (PDF, "text/plain", document("base64", "application/pdf", encoded(PDF))),
    "text": ("é\n".encode(), "text/plain", document("text", "text/plain", "é\n")),
    "csv": (b"a,b\n1,2", "text/csv;charset=utf-8", document("text", "text/plain", "a,b\n1,2")),
    "json": (b'{"a": 1}', "application/json", document("text", "text/plain", '{"a": 1}')),
    "marked": (b"\xef\xbb\xbfa", "text/markdown", document("text", "text/plain", "a")),
    "untold": (b"abc", "", document("text", "text/plain", "abc")),
}


@pytest.mark.parametrize("name", FILES)
async def test_a_file_goes_up_as_a_document(stage: Stage, name: str) -> None:
    data, media_type, expected = FILES[name]
    url = data_url(data, media_type)
    assert await sent(stage, user(file(url), text("Read it."))) == [
        expected,
        {"type": "text", "text": "Read it."},
    ]
    for title, told in (("report.pdf", "report.pdf"), (" ", None), ("x" * 300, "x" * 200)):
        [sent_up] = await sent(stage, user(file(url, filename=title)))
        assert sent_up == (expected if told is None else {**expected, "title": told})


@pytest.mark.parametrize(
    ("part", "param", "told"),
    [
        (file(data_url(b"PK\3\4", "application/zip")), "file", "is application/zip"),
        (file(data_url(PICTURES["image/png"], "image/png")), "file", "is image/png"),
        (file(data_url(b"not one", "application/pdf")), "file", "is not a PDF"),
        (file(data_url(b"\xff\xfea\0", "text/plain")), "file", "not in UTF-8"),
        (file(data_url(b" \n", "text/plain")), "file", "is empty"),
        (file("data:text/plain;base64,"), "file", "is empty"),
        (file("data:text/plain;base64,?"), "file", "is not valid base64"),
        (file("https://example.com/a.pdf"), "file", "must be a data: URL"),
        (file(encoded(PDF)), "file", "must be a data: URL"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_data", "required"),
        ({"type": "file"}, "file", "required"),
        ({"type": "image_url"}, "image_url", "required"),
        ({"type": "image_url", "image_url": {}}, "image_url.url", "required"),
        ({"type": "image_url", "image_url": None}, "image_url", ""),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "", "input_audio"),
        ({"type": "video_url", "video_url": {"url": GOOD_PNG}}, "", "video_url"),
        ({"type": "text"}, "text", "required"),
        ({}, "", "type"),
        (7, "", ""),
    ],
)
async def test_what_cannot_be_read_is_refused_where_it_stands(
    stage: Stage, part: Any, param: str, told: str
) -> None:
    error = await refused(stage, user(text("hi"), part))
    assert error["param"] == ".".join(it for it in ("messages.0.content.1", param) if it)
    assert told.lower() in error["message"].lower()
    assert "base64," not in error["message"]


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
@pytest.mark.parametrize("part", [picture(GOOD_PNG), file(data_url(PDF, "application/pdf"))])
async def test_only_people_show_pictures_and_files(stage: Stage, role: str, part: Any) -> None:
    message: dict[str, Any] = {"role": role, "content": [part], "tool_call_id": "x"}
    error = await refused(stage, [*user(text("hi")), message])
    assert error["param"] == "messages.1.content.0"


async def test_every_agent_sees_them_in_their_order(stage: Stage) -> None:
    messages = [
        *user(picture(GOOD_PNG), text("First."), file(data_url(b"a", "text/plain"), filename="n")),
        {"role": "assistant", "content": [text("Seen.")]},
        *user(text("And"), picture("https://example.com/b.png"), text(" "), text(QUESTION)),
        *user(file(data_url(PDF, "application/pdf"))),
    ]
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", Reply(text="ok"))
    assert answer_of(await stage.ask(messages=messages)) == "ok"
    first = [
        block("image/png"),
        {"type": "text", "text": "First."},
        document("text", "text/plain", "a", title="n"),
    ]
    last = [
        {"type": "text", "text": "And"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/b.png"}},
        {"type": "text", "text": QUESTION},
        document("base64", "application/pdf", encoded(PDF)),
    ]
    assert {"lead", "worker", "synthesizer"} <= set(stage.roles)
    for call in stage.upstream.calls:
        begun, answered, asked = call.body["messages"]
        assert begun == {"role": "user", "content": first}
        assert answered["content"] == [{"type": "text", "text": "Seen."}]
        own = int(call.role in {"worker", "synthesizer"})
        shown = [{k: v for k, v in it.items() if k != "cache_control"} for it in asked["content"]]
        assert shown[: len(last)] == last
        assert len(shown) == len(last) + own


async def test_a_name_stands_before_a_picture_too(stage: Stage) -> None:
    assert await sent(stage, user(picture(GOOD_PNG), name="Ann")) == [
        {"type": "text", "text": "Ann:"},
        block("image/png"),
    ]


async def test_a_picture_alone_can_be_asked_about_and_split(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=[], text=""))
    stage.upstream.answer("worker", Reply(text="a picture"))
    seen = await stage.watch(messages=user(picture(GOOD_PNG)))
    assert (seen.answer, seen.error) == ("a picture", None)
    assert stage.upstream.calls_of("worker")[0].body["messages"][0]["content"][0] == block(
        "image/png"
    )


CANARY = "canary-of-the-upstream"
ABOUT_MEDIA = [
    f"messages.0.content.1.image.source.base64.data: {CANARY}",
    f"messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: {CANARY}",
    f"messages.0.content.1.document.source.base64.data: {CANARY}",
    f"messages.0.content.1.pdf.source.base64.data: The PDF specified was not valid. {CANARY}",
    f"Could not process image {CANARY}",
    f"Could not process PDF {CANARY}",
    f"Unable to download the file. {CANARY}",
]


@pytest.mark.parametrize("message", ABOUT_MEDIA)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_claude_cannot_read_is_the_callers_to_change(
    stage: Stage, message: str, stream: bool
) -> None:
    stage.upstream.answer("lead", Status(400, "invalid_request_error", message=message))
    response = await stage.ask(messages=user(text("hi"), picture(GOOD_PNG)), stream=stream)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "messages",
        "invalid_value",
    )
    assert CANARY not in response.text
    assert len(stage.upstream.calls) == 1


async def test_words_about_pictures_are_not_the_callers_where_there_are_none(stage: Stage) -> None:
    stage.upstream.answer("lead", Status(400, "invalid_request_error", message=ABOUT_MEDIA[0]))
    response = await stage.ask()
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_error")


async def test_a_picture_that_only_workers_cannot_read_costs_their_part(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    stage.upstream.answer("worker", Status(400, "invalid_request_error", message=ABOUT_MEDIA[0]))
    stage.upstream.answer_subtask("Part 2", Reply(text="done"))
    stage.upstream.answer("synthesizer", Reply(text="ok"))
    seen = await stage.watch(messages=user(text("hi"), picture(GOOD_PNG)))
    outcome, reason = seen.outcomes["Part 1"]
    assert outcome == "failed"
    assert "refuses an image" in (reason or "")
    assert seen.report["partial"] is True


@pytest.mark.parametrize(
    "answer",
    [
        Status(400, "invalid_request_error", message="prompt is too long: 5 tokens > 3 maximum"),
        Status(413, "request_too_large"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_said_to_be(
    stage: Stage, answer: Status, stream: bool
) -> None:
    stage.upstream.answer("lead", answer)
    response = await stage.ask(stream=stream)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert len(stage.upstream.calls) == 1
