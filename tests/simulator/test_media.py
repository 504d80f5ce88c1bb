"""Images and documents: what is refused about them, what they cost, what is said of them."""

from typing import Any

import pytest

from tests.simulator.pictures import (
    gif,
    image,
    image_at,
    jpeg,
    pdf,
    pdf_document,
    png,
    text_document,
    webp,
)
from tests.simulator.test_messages import DELEGATE
from tests.simulator.wire import OLD_HAIKU, Json, Wire, ask, text_of

CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
LOOK = {"name": "look", "input_schema": {"type": "object"}}
TEA = "Tea grows on hills in Assam. Its leaves are picked by hand in spring."
COFFEE = "Coffee grows in Ethiopia. Its cherries are dried in the sun for days."
PATH = "messages.0.content.1"


def asking(*blocks: Json, text: str = "What is this?", **more: Any) -> Json:
    content = [{"type": "text", "text": text}, *blocks]
    return ask(messages=[{"role": "user", "content": content}], **more)


def with_data(block: Json, data: str) -> Json:
    return block | {"source": block["source"] | {"data": data}}


REFUSED: dict[str, tuple[Json, str]] = {
    "another format than named": (
        image(jpeg(2, 2)),
        f"{PATH}.image.source.base64: The image was specified using the image/png media type, but"
        " the image appears to be a image/jpeg image",
    ),
    "no image at all": (image(b"hello world, hello world"), "Could not process image"),
    "a header cut short": (image(png()[:18]), "Could not process image"),
    "a JPEG without a frame": (image(jpeg(2, 2)[:22], "jpeg"), "Could not process image"),
    "an unknown WebP": (
        image(webp(b"VP8L", 2, 2).replace(b"VP8L", b"VP9 "), "webp"),
        "Could not process image",
    ),
    "no width": (image(gif(0, 2), "gif"), "Could not process image"),
    "nothing": (image(b""), f"{PATH}.image.source.base64: image cannot be empty"),
    "a line break in base64": (
        with_data(image(png()), "iVBO\nRw0K"),
        f"{PATH}.image.source.base64: invalid base64 data",
    ),
    "a data URL": (
        with_data(image(png()), "data:image/png;base64,iVBORw0K"),
        f"{PATH}.image.source.base64: invalid base64 data",
    ),
    "no ASCII": (with_data(image(png()), "é"), "invalid base64 data"),
    "too many characters": (
        with_data(image(png()), "A" * (10 * 1024 * 1024 + 4)),
        f"{PATH}.image.source.base64: image exceeds 10 MB maximum: 10485764 bytes > 10485760 bytes",
    ),
    "too many pixels": (
        image(png(8001, 2)),
        f"{PATH}.image.source.base64.data: At least one of the image dimensions exceed max allowed"
        " size: 8000 pixels",
    ),
    "another scheme": (
        image_at("file:///etc/passwd"),
        f"{PATH}.image.source.url.url: Only HTTP and HTTPS URLs are supported.",
    ),
    "a number for data": (
        with_data(image(png()), 5),  # type: ignore[arg-type]
        f"{PATH}.image.source.base64.data: Input should be a valid string",
    ),
    "an unknown key": (
        image_at("https://x/y.png") | {"detail": "low"},
        f"{PATH}.detail: Extra inputs are not permitted",
    ),
    "an unknown key of the source": (
        {"type": "image", "source": {"type": "url", "url": "https://x", "media_type": "image/png"}},
        f"{PATH}.image.source.url.media_type: Extra inputs are not permitted",
    ),
    "no PDF": (
        pdf_document(b"<html>"),
        f"{PATH}.pdf.source.base64.data: The PDF specified was not valid.",
    ),
    "a PDF in another encoding": (
        with_data(pdf_document(pdf()), "%PDF-1.4"),
        f"{PATH}.pdf.source.base64.data: The PDF specified was not valid.",
    ),
    "an image as a document": (
        {"type": "document", "source": image(png())["source"]},
        f"{PATH}.pdf.source.base64.media_type: Input should be 'application/pdf'",
    ),
    "an empty text": (text_document(" "), f"{PATH}.document.source.text.data"),
    "HTML as a text": (
        {"type": "document", "source": {"type": "text", "media_type": "text/html", "data": "x"}},
        f"{PATH}.document.source.text.media_type: Input should be 'text/plain'",
    ),
    "a title that is no text": (text_document("x", title=5), f"{PATH}.document.title"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_proper_image_or_document_is_refused(wire: Wire, case: str) -> None:
    block, message = REFUSED[case]
    status, kind, said = await wire.refusal(asking(block))
    assert (status, kind) == (400, "invalid_request_error")
    assert message in said


async def test_an_image_in_a_tool_result_is_checked_too(wire: Wire) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image(jpeg(2, 2))]}
    talk = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [result]},
    ]
    said = (await wire.refusal(ask(messages=talk, tools=[LOOK])))[2]
    assert said.startswith("messages.2.content.0.tool_result.content.0.image.source.base64: The im")


@pytest.mark.parametrize(
    ("model", "blocks", "said"),
    [
        (OLD_HAIKU, [image(png())] * 101, "Too much media: 0 document pages + 101 images > 100"),
        (
            OLD_HAIKU,
            [image(png()), pdf_document(pdf(100))],
            "Too much media: 100 document pages + 1 images > 100",
        ),
        (
            OLD_HAIKU,
            [image_at("https://x/y.png"), image(png(2001, 2)), *[image(png())] * 19],
            "messages.0.content.2.image.source.base64.data: At least one of the image dimensions"
            " exceed max allowed size for many-image requests: 2000 pixels",
        ),
    ],
)
async def test_many_images_and_pages_are_limited_together(
    wire: Wire, model: str, blocks: list[Json], said: str
) -> None:
    assert (await wire.refusal(asking(*blocks, model=model)))[2] == said
    await wire.message(asking(*blocks[1:21], model=model))


async def test_a_large_context_takes_more_images(wire: Wire) -> None:
    await wire.message(asking(*[image(png())] * 101))


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        (image(png(280, 56)), 20),
        (image(png(281, 57)), 33),
        (image(jpeg(28, 84), "jpeg"), 3),
        (image(gif(56, 28), "gif"), 2),
        (image(webp(b"VP8 ", 28, 28), "webp"), 1),
        (image(webp(b"VP8L", 57, 28), "webp"), 3),
        (image(webp(b"VP8X", 28, 140), "webp"), 5),
        (image(png(8000, 8000)), 4784),
        (image_at("https://example.com/a.png"), 1500),
        (pdf_document(pdf(3)), 4500),
        (pdf_document(pdf(0)), 1500),
        (text_document("x" * 350), 100),
        (text_document("x" * 350, title="t" * 35), 110),
        (
            {"type": "document", "source": {"type": "content", "content": "x" * 35}},
            10,
        ),
    ],
)
async def test_media_cost_what_their_size_makes(wire: Wire, block: Json, tokens: int) -> None:
    with_it, without = asking(block), asking()
    for body in (with_it, without):
        del body["max_tokens"]
    assert await wire.count(with_it) - await wire.count(without) == tokens


async def test_the_answer_names_what_it_was_given(wire: Wire) -> None:
    said = text_of(
        await wire.message(
            asking(
                image(png(30, 20)),
                image_at("https://example.com/cat.png"),
                {"type": "image", "source": {"type": "file", "file_id": "f"}},
                pdf_document(pdf(), title="offer.pdf"),
                text_document(TEA),
            )
        )
    )
    assert said.startswith(
        "Attached: 3 images (PNG, 30 by 20 pixels; by address; by file id), the PDF “offer.pdf” and"
        " a text without a title. "
    )
    assert said.endswith("(simulated)")
    assert "Attached" not in text_of(await wire.message(asking()))


async def test_a_greeting_with_an_image_is_about_the_image(wire: Wire) -> None:
    said = text_of(await wire.message(asking(image(png()), text="Hi")))
    assert said.startswith("Attached: an image (PNG, 2 by 2 pixels).")
    assert "Hello" not in said


async def test_a_question_is_answered_from_an_attached_text(wire: Wire) -> None:
    documents = [text_document(TEA, title="tea.txt"), text_document(COFFEE, title="coffee.txt")]
    asked = asking(*documents, text="Where do the leaves of tea grow?")
    assert "Tea grows on hills in Assam." in text_of(await wire.message(asked))
    named = text_of(await wire.message(asking(*documents, text="Summarise “coffee.txt” for me.")))
    assert "Coffee grows in Ethiopia. Its cherries are dried" in named
    assert "Assam" not in named


async def test_each_attached_document_is_a_part_of_the_work(wire: Wire) -> None:
    documents = [text_document(TEA, title="tea.txt"), pdf_document(pdf(), title="coffee.pdf")]
    body = asking(*documents, text="Summarise each document.", tools=[DELEGATE])
    block = (await wire.message(body)).content[0]
    assert block.type == "tool_use"
    subtasks: Any = block.input["subtasks"]
    assert [task["title"] for task in subtasks] == ["tea.txt", "coffee.pdf"]
    assert not any("attachments" in task for task in subtasks)


@pytest.mark.parametrize(
    ("feature", "block", "path"),
    [
        ("images", image_at("https://example.com/a.png"), f"{PATH}.image"),
        ("documents", text_document("x"), f"{PATH}.document"),
    ],
)
async def test_media_can_be_refused_as_models_do_that_cannot_see(
    wire: Wire, feature: str, block: Json, path: str
) -> None:
    await wire.script(refuse=[feature])
    kind = path.rpartition(".")[2]
    assert await wire.refusal(asking(block)) == (
        400,
        "invalid_request_error",
        f"{path}: {kind} input is not supported by this model",
    )
    others = {"images", "documents"} - {feature}
    await wire.script(refuse=list(others))
    await wire.message(asking(block))
