from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_worker.simulator.answers import answer
from tests.simulator.test_messages import DELEGATE
from tests.simulator.wire import Wire, ask, text_of

CONTRACT = """Please summarise each section of this contract, then say what is missing.

# Contract

## Scope
The supplier delivers bicycles to the shops. Delivery takes five days.

## Price
Each bicycle costs 400 EUR. Payment is due in thirty days.

## Term
The contract ends in May 2027."""

REPORT = """Summarise this report section by section in two sentences each.

# Annual report

## Traffic

Finances are treated below. Ships came. Ships went.

## Finances

Traffic brought money. Dredging cost it. Nothing is left."""
STEPS = (
    "Plan a trip for two people who like food, tiles and the sea, on about 900 euros. First choose"
    " a village. Then plan two days from there, one per day, with food and drink. Finally add up"
    " what it costs and say what to leave out if it is too much."
)
CODE = """Find the mistake, give the corrected function and three tests for it.

```python
# Sums

def total(numbers):
    return sum(numbers) + 1
```"""
DIFF = """Review this diff for bugs, for security and for style.

```diff
--- a/shop.py
+++ b/shop.py
@@ -1,3 +1,4 @@
 class Shop:
-    def sell(self): ...
+    def sell(self, price):
+        self.total += price
+        return self.total
```"""

SPLIT: list[tuple[str, list[str]]] = [
    (
        "Compare solar, wind and nuclear energy in terms of cost.",
        ["Solar", "Wind", "Nuclear energy"],
    ),
    ("Compare Python with Rust", ["Python", "Rust"]),
    ("Translate “good morning” into French, German and Italian", ["French", "German", "Italian"]),
    ("What are the pros and cons of tea?", ["Pros of tea", "Cons of tea"]),
    ("Write a tweet, a post and an email about it.", ["A tweet", "A post", "An email"]),
    ("1. Explain TCP\n2. Explain UDP", ["Explain TCP", "Explain UDP"]),
    ("Summarise these:\n- Solar\n- Wind", ["Solar", "Wind"]),
    ("Please (1) explain TCP, (2) explain UDP", ["Explain TCP", "Explain UDP"]),
    ("What is TCP? What is UDP?", ["What is TCP", "What is UDP"]),
    ("Describe tea and then write a quiz", ["Describe tea", "Write a quiz"]),
    ("Explain recursion and list three uses.", ["Explain recursion", "List three uses"]),
    ("Review each file: a.py b.py", ["a.py", "b.py"]),
    (CONTRACT, ["Scope", "Price", "Term", "Say what is missing"]),
    (REPORT, ["Traffic", "Finances"]),
    ("Compare three ways to heat: coal, gas and oil.", ["Coal", "Gas", "Oil"]),
    ("First, explain DNS. Second, explain NAT.", ["Explain DNS", "Explain NAT"]),
    ("Compare three pets: cats, dogs and birds.", ["Cats", "Dogs", "Birds"]),
    ("Compare cats, dogs and birds for cost and noise.", ["Cats", "Dogs", "Birds"]),
    (
        "Review this for bugs, for speed and for style, and say at the end whether to merge it.",
        ["Bugs", "Speed", "Style", "Say whether to merge it"],
    ),
    ("Write an ad for Instagram, Facebook and TikTok.", ["Instagram", "Facebook", "TikTok"]),
    (STEPS, ["Choose a village", "Plan two days from there", "Add up what it costs"]),
    ("Vergleiche für eine Familie drei Öfen: Kohle, Gas und Öl.", ["Kohle", "Gas", "Öl"]),
    ("Comparez pour une ville deux énergies : le vent et le soleil", ["Le vent", "Le soleil"]),
    ("Compara para una casa: gas, madera y sol.", ["Gas", "Madera", "Sol"]),
    ("Jämför två sätt att resa: tåg och buss.", ["Tåg", "Buss"]),
    ("Explain tea. Fix the mistake and test it.", ["Explain tea", "Fix the mistake", "Test it"]),
]
PIECES = [
    "Compare ", "tea", " and ", ", ", "milk", "\n", "\n\n", "# ", "- ", "1. ", "? ", ". ", "then ",
    "each section", "Translate ", " into ", "pros and cons", "<result title='x'>", "</result>",
    "finally ", "(1) ", "my name is Ada", "remember", "a.txt ", "each file ", ":", "<a/>",
    "<doc name='b'>z</doc>",
]  # fmt: skip
WHOLE = [
    "What is the capital of France?",
    "Hello!",
    "Tell me about Berlin, please.",
    "Write a haiku about spring. Keep it short and use simple words.",
    "My name is Ada. What is the capital of France?",
    "Compare and contrast",
    "Plan a trip for two people who like food, tiles and the sea.",
    "Find a house with a garden, a garage and a cellar.",
    "Write a song for a child, a cat and a dog.",
    "Was ist die Hauptstadt von Frankreich?",
    CODE,
    "x" * 5000,
    "?",
]


async def planned(wire: Wire, text: str) -> list[dict[str, Any]]:
    block = (await wire.message(ask(text, max_tokens=9000, tools=[DELEGATE]))).content[0]
    subtasks: Any = block.input["subtasks"] if block.type == "tool_use" else []
    return subtasks


@pytest.mark.parametrize(("text", "titles"), SPLIT, ids=[text[:30] for text, _ in SPLIT])
async def test_a_request_is_split_into_its_real_parts(
    wire: Wire, text: str, titles: list[str]
) -> None:
    subtasks = await planned(wire, text)
    assert [subtask["title"] for subtask in subtasks] == titles
    assert len({subtask["instructions"] for subtask in subtasks}) == len(titles)


@pytest.mark.parametrize("text", WHOLE, ids=[text[:30] for text in WHOLE])
async def test_a_request_with_one_part_is_not_split(wire: Wire, text: str) -> None:
    assert await planned(wire, text) == []


async def test_what_comes_last_depends_on_what_comes_before(wire: Wire) -> None:
    *sections, last = await planned(wire, CONTRACT)
    assert last["depends_on"] == [section["id"] for section in sections]
    assert all("depends_on" not in section for section in sections)
    assert "the section “Price”" in sections[1]["instructions"]
    assert "400 EUR" in sections[1]["instructions"]


async def test_attached_texts_are_named_by_their_id(wire: Wire) -> None:
    index = '<file id="1" name="a.txt">x</file>\n<file id="2" name="b.txt">y</file>'
    first, second = await planned(wire, f"Summarise each file.\n\n{index}")
    assert (first["attachments"], second["attachments"]) == (["1"], ["2"])


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=300).filter(str.strip))
def test_any_text_gets_a_plan_or_an_answer(text: str) -> None:
    body = ask(text, tools=[DELEGATE])
    reply = answer(body)
    assert reply.text.endswith("(simulated)") or reply.tools


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_any_mixture_of_forms_gets_a_plan_or_an_answer(pieces: list[str]) -> None:
    reply = answer(ask("".join(pieces), tools=[DELEGATE]))
    assert reply.text.endswith("(simulated)") or reply.tools


def told(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]


async def answered(wire: Wire, *texts: str, before: Any = ()) -> str:
    return text_of(await wire.message(ask(messages=[*before, *told(*texts)])))


async def test_a_subtask_is_answered_with_sentences_of_the_document(wire: Wire) -> None:
    said = await answered(wire, CONTRACT, "Your part: summarise the section “Price”.")
    assert said.startswith("Each bicycle costs 400 EUR. Payment is due in thirty days.")
    other = await answered(wire, CONTRACT, "How long does the delivery of bicycles take?")
    assert "Delivery takes five days." in other
    assert other.count("(simulated)") == 1


async def test_a_section_is_summarised_with_as_many_sentences_as_are_asked_for(wire: Wire) -> None:
    tasks = [task["instructions"] for task in await planned(wire, REPORT)]
    assert [await answered(wire, REPORT, f'Your part is "X".\n\n{task}') for task in tasks] == [
        "Finances are treated below. Ships came. (simulated)",
        "Traffic brought money. Dredging cost it. (simulated)",
    ]


async def test_later_steps_build_on_all_earlier_ones(wire: Wire) -> None:
    first, second, third = await planned(wire, STEPS)
    assert "depends_on" not in first
    assert "who like food, tiles and the sea" in first["instructions"]
    assert second["depends_on"] == [first["id"]]
    assert third["depends_on"] == [first["id"], second["id"]]


async def test_what_is_true_about_code_is_said_instead_of_its_lines_as_prose(wire: Wire) -> None:
    assert await answered(wire, CODE) == (
        "The Python code has 4 lines and defines `total`. One of the lines is"
        " `def total(numbers):`. A real model would do this for you here: “Find the mistake, give"
        " the corrected function and three tests for it.” (simulated)"
    )


async def test_each_view_of_a_diff_quotes_another_line(wire: Wire) -> None:
    tasks = [task["instructions"] for task in await planned(wire, DIFF)]
    said = [await answered(wire, DIFF, f'Do "this".\n\n{task}') for task in tasks]
    for text in said:
        assert text.startswith(
            "The diff of `shop.py` adds 3 lines and removes 1; it touches `sell`."
        )
    quoted = ["def sell(self, price):", "self.total += price", "return self.total"]
    for text, line in zip(said, quoted, strict=True):
        assert f"One of the added lines is `{line}`." in text


async def test_the_points_of_a_comparison_are_left_open_and_its_setting_is_kept(wire: Wire) -> None:
    text = "We sell tea. Compare Go and Rust for it: price, and how each one runs. End with a tip."
    go, _ = await planned(wire, text)
    assert go["instructions"] == (
        "Describe Go for this setting, so that it can be compared with Rust: price, and how each"
        " one runs. The setting: “We sell tea.”"
    )
    assert await answered(wire, text, f"Your part is “Go”.\n\n{go['instructions']}") == (
        "A real model would fill in these points about Go:\n\n- Price: …\n- How it runs: …"
        " (simulated)"
    )
    results = '<result title="Go">\nA.\n</result>\n<result title="Rust">\nB.\n</result>'
    said = await answered(wire, text, f"{results}\n\nWrite it up.")
    assert said == "## Go\n\nA.\n\n## Rust\n\nB.\n\nA real model would end with a tip. (simulated)"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("What is tea?", "A real model would gladly answer “What is tea?” here"),
        ("Was ist das und wie ist der Tee?", "Ein echtes Modell würde „Was ist das"),
        ("Quelle est la capitale de la France ?", "Un vrai modèle répondrait volontiers"),
        ("¿Cuál es la capital de la India y por qué?", "Un modelo real respondería"),
        ("Vad är det som inte är te?", "A real model would gladly answer"),
        ("Translate “good day” into French.", "In French, a real model would put: “good day”"),
        ("Translate into French.", "A real model would do this for you here: “Translate"),
    ],
)
async def test_a_stand_in_is_in_the_language_of_the_request(
    wire: Wire, asked: str, said: str
) -> None:
    assert (await answered(wire, asked)).startswith(said)


async def test_one_of_several_things_is_named_in_another_language(wire: Wire) -> None:
    request = "Vergleiche für eine Familie drei Öfen: Kohle, Gas und Öl. Schließe mit einem Rat."
    task = (await planned(wire, request))[1]["instructions"]
    assert task == ("Vergleiche für eine Familie drei Öfen: hier nur Gas. Schließe mit einem Rat.")
    said = await answered(wire, request, f"Your part is “Gas”.\n\n{task}")
    assert said == "Ein echtes Modell würde hier etwas zu „Gas“ schreiben. (simulated)"


async def test_what_was_asked_before_is_named(wire: Wire) -> None:
    before = [*told("My brake squeals."), {"role": "assistant", "content": "It is wet."}]
    said = await answered(wire, "What would you check?", before=before)
    assert said.startswith("Before, you asked: “My brake squeals.” A real model would")


async def test_a_note_in_a_document_is_no_fact_to_remember(wire: Wire) -> None:
    said = await answered(
        wire, f"Summarise this.\n\nWe note that tea has a limit. {'Tea is hot and sweet. ' * 20}"
    )
    assert "remember" not in said
    assert "Tea is hot and sweet." in said


async def test_an_instruction_nothing_is_known_about_is_named(wire: Wire) -> None:
    answers = [
        await answered(wire, f"Explain the history of {thing}.") for thing in ("tea", "jazz")
    ]
    assert "history of tea" in answers[0]
    assert "history of jazz" in answers[1]


async def test_results_are_merged_verbatim_and_gaps_are_named(wire: Wire) -> None:
    blocks = (
        '<result-7f title="Scope" status="succeeded">\nBicycles.\n\n- two\n</result-7f>\n\n'
        '<result-7f title="Price" status="timed_out" reason="took too long" />\n\n'
        '<result-7f title="Term" status="failed">\nrefused\n</result-7f>'
    )
    said = await answered(wire, CONTRACT, f"What was found:\n\n{blocks}\n\nWrite it up.")
    assert "## Scope\n\nBicycles.\n\n- two" in said
    assert "“Price” is missing: took too long." in said
    assert "“Term” is missing: refused." in said
    assert said.index("Scope") < said.index("Price") < said.index("Term")


async def test_a_task_that_builds_on_results_does_not_repeat_them(wire: Wire) -> None:
    block = '<result-7f title="Scope" status="succeeded">\nBicycles are delivered.\n</result-7f>'
    task = "Say what is missing in the contract that was summarised."
    said = await answered(wire, CONTRACT, f"{block}\n\n{task}")
    assert said.startswith("This builds on “Scope”. A real model would do this for you here: “Say")
    assert "Bicycles are delivered" not in said


async def test_facts_of_the_conversation_are_remembered(wire: Wire) -> None:
    before = [
        *told("My name is Ada. My favourite colour is green. Remember: the code is 42."),
        {"role": "assistant", "content": "Gladly."},
    ]
    assert "Ada" in await answered(wire, "What did I say my name was?", before=before)
    assert "green" in await answered(wire, "What is my favourite colour?", before=before)
    assert "the code is 42" in await answered(wire, "What should you remember?", before=before)
    assert "Ada" in await answered(wire, "My name is Ada.")


async def test_the_system_prompt_is_never_the_request(wire: Wire) -> None:
    system = "Compare tea, milk and beer. Then recommend one."
    message = await wire.message(ask("Hello", system=system, tools=[DELEGATE]))
    assert message.stop_reason == "end_turn"
    assert "tea" not in text_of(message)
