"""Human languages: telling them apart by common words, their words for “and”, and what the
simulator says in some of them.

By rules of thumb and for European languages; what is not recognised counts as English. Owns no
state and stands at the bottom, beside `wording`.
"""

import re
from collections import Counter
from dataclasses import dataclass

ENGLISH = "en"
_WORD = re.compile(r"[^\W\d_]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = {
    ENGLISH: _set("the and of to is in for with what how this that you are it on which or my a an"),
    "de": _set(
        "der die das den dem des und ist ein eine einen einer mit für auf nicht zu wie was im von"
        " ich wir mir uns oder"
    ),
    "fr": _set(
        "le la les des du et est une un pour dans que qui avec sur je nous vous moi quel quelle"
        " comment ou au aux"
    ),
    "es": _set("el la los las del y es una un para en que con por cuál qué cómo mi nos al o"),
    "it": _set("il lo gli della delle dei di è una un per con che sono come quale e nel o"),
    "pt": _set("os as e é uma um para com que não do da dos no na ou qual como"),
    "nl": _set("de het een en van is voor met niet op dat wat hoe of ik wij"),
    "sv": _set("och det att en ett är för med på som inte av vad hur eller jag vi den"),
    "da": _set("og det at en et er for med på som ikke af av hvad hvordan eller jeg vi den"),
    "pl": _set("i w z na do jest się nie to że jak co dla lub oraz po"),
    "cs": _set("a je na se že pro jak co nebo do s v z ve"),
    "tr": _set("ve bir bu için ile ne mi veya da de"),
}
_AND = {
    "de": "und|oder",
    "fr": "et|ou",
    "es": "y|e|o|u",
    "it": "e|ed|o",
    "pt": "e|ou",
    "nl": "en|of",
    "sv": "och|eller",
    "da": "og|eller",
    "pl": "i|oraz|lub",
    "cs": "a|i|nebo",
    "tr": "ve|veya|ile",
}
_THING = r"([^.,:;!?\n]{3,60})"
_ENDINGS = (
    (rf"\b(?:end|close|finish|conclude) with (?=an?\b){_THING}", "A real model would end with {}."),
    (rf"\bschlie(?:ß|ss)e mit {_THING}", "Ein echtes Modell würde hier mit {} schließen."),
    (rf"\btermine[zr]? par {_THING}", "Un vrai modèle terminerait ici par {}."),
    (rf"\btermina(?:r|d)? con {_THING}", "Un modelo real terminaría aquí con {}."),
)
_COLON_LIST = re.compile(r"^([^:]+):\s+([^:]+?)\s*[.?!]?$", re.DOTALL)
MAX_ITEM_WORDS = 6


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is said in the place of a real model's words."""

    question: str
    task: str
    about: str
    """For a task that is about one of several things."""
    asked: str
    """Says what was asked before."""
    only: str
    """Narrows a task to one of several things."""


_PHRASES = {
    ENGLISH: Phrases(
        "A real model would gladly answer “{}” here; the simulator only shows that your question"
        " has arrived.",
        "A real model would do this for you here: “{}”",
        "A real model would write about “{}” here.",
        "Before, you asked: “{}”",
        "only this one:",
    ),
    "de": Phrases(
        "Ein echtes Modell würde „{}“ hier gern beantworten; der Simulator zeigt nur, dass die"
        " Frage angekommen ist.",
        "Ein echtes Modell würde das hier erledigen: „{}“",
        "Ein echtes Modell würde hier etwas zu „{}“ schreiben.",
        "Davor wurde gefragt: „{}“",
        "hier nur",
    ),
    "fr": Phrases(
        "Un vrai modèle répondrait volontiers ici à « {} » ; le simulateur montre seulement que la"
        " question est arrivée.",
        "Un vrai modèle ferait ceci ici : « {} »",
        "Un vrai modèle écrirait ici sur « {} ».",
        "Question précédente : « {} »",
        "ici seulement",
    ),
    "es": Phrases(
        "Un modelo real respondería aquí con gusto a «{}»; el simulador solo muestra que la"
        " pregunta ha llegado.",
        "Un modelo real haría esto aquí: «{}»",
        "Un modelo real escribiría aquí sobre «{}».",
        "Antes se preguntó: «{}»",
        "aquí solo",
    ),
}


def language_of(text: str) -> str:
    """The language whose common words are most frequent in a text; English when in doubt."""
    counted = Counter(word.lower() for word in _WORD.findall(text))
    scores = {
        language: sum(counted[word] for word in common) for language, common in _COMMON.items()
    }
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] >= 2 and scores[best] > scores[ENGLISH] else ENGLISH


def phrases_for(text: str) -> Phrases:
    """What the simulator says to somebody who wrote this text."""
    return _PHRASES.get(language_of(text), _PHRASES[ENGLISH])


def colon_list(text: str) -> tuple[str, list[str]]:
    """What stands before a colon, and the enumeration that ends a text in another language than
    English; an empty one when there is none.
    """
    match, conjunctions = _COLON_LIST.match(text.strip()), _AND.get(language_of(text))
    if match is None or conjunctions is None:
        return text, []
    *first, last = re.split(rf",?\s+(?:{conjunctions})\s+", match[2], flags=re.IGNORECASE)
    items = [item.strip() for piece in (*first, last) for item in piece.split(",") if item.strip()]
    brief = all(len(item.split()) <= MAX_ITEM_WORDS for item in items)
    return (match[1].strip(), items) if first and brief and len(items) > 1 else (text, [])


def asked_ending(text: str) -> tuple[str, str]:
    """What a text asks to be ended with, and a sentence that says so; empty when it does not."""
    for pattern, said in _ENDINGS:
        if match := re.search(pattern, text, re.IGNORECASE):
            return match[1].strip(), said.format(match[1].strip())
    return "", ""
