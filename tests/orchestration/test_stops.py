"""Stop sequences over one answer: however it is cut into pieces, it ends before the first."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator_worker.orchestration.stops import StopSequences

LETTERS = st.text("ab\n ", max_size=40)
SEQUENCES = st.lists(st.text("ab\n ", min_size=1, max_size=6), min_size=1, max_size=5).map(tuple)
CUTS = st.lists(st.integers(0, 40), max_size=40)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def expected(text: str, sequences: tuple[str, ...]) -> tuple[str, bool]:
    """Cut the text as one who asks after each letter whether a sequence has ended there."""
    for seen in accumulate(text):
        ended = [it for it in sequences if seen.endswith(it)]
        if ended:
            return seen[: -max(map(len, ended))], True
    return text, False


def heard(sequences: tuple[str, ...], parts: list[str]) -> tuple[list[str], bool]:
    """Each piece that may be heard, what is held at the end as the last one."""
    stops = StopSequences(sequences)
    said = [stops.feed(part) for part in parts]
    return [*said, stops.rest()], stops.met


@given(text=LETTERS, sequences=SEQUENCES, cuts=CUTS)
@example(text="aab", sequences=("aab", "b"), cuts=[1, 2])  # the longest of those that end together
@example(text="aaab", sequences=("aab",), cuts=[1, 2, 3])  # begins anew inside its own beginning
@example(text="aba", sequences=("aba", "b"), cuts=[])  # one ends while another has only begun
@example(text="abab a", sequences=("ababa", "b a"), cuts=[4])
def test_every_split_is_cut_alike(text: str, sequences: tuple[str, ...], cuts: list[int]) -> None:
    said, met = heard(sequences, pieces(text, cuts))
    assert ("".join(said), met) == expected(text, sequences)


@given(text=LETTERS, sequences=SEQUENCES, cuts=CUTS)
def test_nothing_is_held_that_cannot_be_the_beginning_of_a_sequence(
    text: str, sequences: tuple[str, ...], cuts: list[int]
) -> None:
    stops = StopSequences(sequences)
    said = fed = ""
    for part in pieces(text, cuts):
        fed += part
        said += stops.feed(part)
        if stops.met:
            return
        held = fed.removeprefix(said)
        assert fed == said + held
        beginnings = [it for it in sequences if held and it.startswith(held)]
        assert not held or beginnings, (held, sequences)


@pytest.mark.parametrize("sequences", [("END",), ("\n\n",), (" ",), ("E", "END")])
def test_once_met_all_that_follows_is_dropped(sequences: tuple[str, ...]) -> None:
    stops = StopSequences(sequences)
    assert stops.feed("one") == "one"
    assert stops.feed(sequences[-1]) == ""
    assert stops.met
    assert [stops.feed(it) for it in ("more", sequences[0], "")] == ["", "", ""]
    assert stops.rest() == ""


def test_without_sequences_everything_passes_at_once() -> None:
    stops = StopSequences(())
    assert [stops.feed(it) for it in ("a", "", "b\n")] == ["a", "", "b\n"]
    assert (stops.rest(), stops.met) == ("", False)


def test_what_is_held_is_given_back_once() -> None:
    stops = StopSequences(("abc",))
    assert stops.feed("xab") == "x"
    assert (stops.rest(), stops.rest()) == ("ab", "")
    assert stops.feed("c") == "c"
