"""Whether two similar questions may ask different things: what an embedding is nearly blind to, compared as words.

"Is it allowed?" and "Is it not allowed?" are neighbours for an encoder. So are two questions that differ in a
number, a code, a name, or in one word of a pair of opposites. All of these have to be equal; that turns away some
questions that do mean the same, which costs a request and nothing more.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[-'’./_:@&+#,](?=\w)[^\W_]+)*|[%€$£]")
_NEGATION_WORDS: Final = (
    "not no never none nobody nothing nowhere neither nor without cannot except unless hardly barely non "
    "nicht kein keine keinen keinem keiner keines nie niemals niemand nichts nirgends weder ohne außer kaum "
    "ne pas jamais aucun aucune sans rien ni sin nunca ningún ninguna nada tampoco"
)
_OPPOSITE_WORDS: Final = (
    "before after until during above below under more less fewer most least min max minimum maximum "
    "minimal maximal first last earliest latest oldest newest early late start end stop close off out "
    "down left right increase decrease rise fall raise lower higher highest lowest old new former current previous "
    "next add remove install uninstall enable disable allow allowed permit permitted forbid forbidden prohibited ban "
    "banned must should required optional mandatory include included exclude excluded accept accepted "
    "reject rejected approve approved deny denied valid invalid buy sell receive import export internal external "
    "inside outside gain loss profit income pass fail true false different only every each "
    "both either half twice daily weekly monthly yearly hourly annual today yesterday tomorrow summer winter spring "
    "autumn male female parent child junior senior employee employer customer supplier tenant landlord "
    "vor nach bis seit über unter mehr weniger mindestens höchstens erste letzte früheste späteste "
    "links rechts erlaubt verboten muss darf soll kann pflicht freiwillig gültig ungültig einige nur "
    "innerhalb außerhalb kaufen verkaufen heute gestern morgen täglich wöchentlich monatlich jährlich"
)
_ASKING_WORDS: Final = (
    "who whom whose when where why how what which many much long often far wer wen wem wessen wann wo wohin woher warum "
    "wieso wie was welche welcher welches viele viel lange oft qui quand où pourquoi comment combien quién cuándo dónde "
    "por cómo cuánto cuántos"
)
_OPENER_WORDS: Final = (
    "is are was were am be do does did has have had will would shall might can could may the a an and or if for to of at "
    "by with from in on it this that these those there here i we you he she they my our your his her their its me us "
    "please tell show give list name find explain describe say define let as about also then so but while any some "
    "ist sind war waren hat haben wird werden kann der die das den dem ein eine einen und oder wenn für mit von zu bei "
    "im am auf ich wir du sie er es mein unser bitte nenne zeige gib erkläre beschreibe sag gibt "
    "est le la les un une des je nous vous es el los las una"
)
"""What begins a question with a capital and is no name."""
_NEGATIONS, _OPPOSITES, _ASKING, _OPENERS = (
    frozenset(words.split()) for words in (_NEGATION_WORDS, _OPPOSITE_WORDS, _ASKING_WORDS, _OPENER_WORDS)
)
_SAME: Final = {"what": "which", "whom": "who"}
_NUMBERS: Final = {
    word: str(n)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    )
    for n, word in enumerate(words.split())
}


def may_differ(one: str, other: str) -> bool:
    """True where numbers, codes, names, negations, opposites or the asking words are not the same."""
    return _marks(one) != _marks(other)


def _marks(question: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for match in _WORD.finditer(question):
        word = match.group()
        low = word.casefold().replace("’", "'")
        if low.endswith("n't") or low in _NEGATIONS or low.startswith("non-"):
            found["not"] += 1
        elif any(ch.isdigit() for ch in low):
            found[re.sub(r"[.,](?=\d{3}\b)", "", low)] += 1
        elif low in _NUMBERS:
            found[_NUMBERS[low]] += 1
        elif low in _OPPOSITES or low in _ASKING or low in "%€$£":
            found[_SAME.get(low, low)] += 1
        elif _is_code(word) or (word[0].isupper() and low not in _OPENERS):
            found[low.removesuffix("'s")] += 1
    return found


def _is_code(word: str) -> bool:
    """More than a word of a language: "VPN-X", "iPhone", "user_id", "a/b"."""
    inner_capital = any(ch.isupper() for ch in word[1:])
    return inner_capital or any(ch in "_/:@&+#." for ch in word)
