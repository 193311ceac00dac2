"""Makes a follow-up question stand alone, by rule: "And how long is it?" needs what "it" was.

Deterministic: words of the conversation are carried over, none are invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rag.core.types import Message
from rag.terms import Terms, terms_of

_MAX_CARRIED = 8
_FEW = 2
_MANY = 5
"""A question of as many content words says itself what it is about, whatever it opens with."""
_LOOKED_BACK = 6
"""Earlier questions: what the last one was about may have been said before it."""

_ALSO = re.compile(
    r"^\W*(?:(?:and|but|or|also|und|aber|oder|auch|et|mais|ou|y|e|pero|o)\b[\s,]*)?(?:(?:what|how) about|what if it(?:'s| is)|was ist(?: denn)? (?:mit|bei)"
    r"|wie (?:ist|sieht|steht) (?:es|das) (?:denn )?(?:aus )?(?:mit|bei|um)?|qu['’]en est-il (?:de|pour)|et pour|¿?qu[eé] (?:tal|hay de|pasa con))\b\s*",
    re.IGNORECASE,
)
_AND = re.compile(
    r"^\W*(?:and|but|or|also|then|und|aber|oder|dann|et|mais|alors|y|pero|entonces)\b[\s,]*", re.IGNORECASE
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|am|do|does|did|can|could|may|might|must|shall|should|will|would|has|have|had|need|needs|apply|applies|get|gets"
    r"|ist|sind|war|waren|kann|können|könnte|darf|dürfen|muss|müssen|soll|sollen|sollte|wird|werden|wurde|hat|haben|gibt|gilt|gelten|bekomm\w*|macht|braucht?"
    r"|est|sont|était|peut|peuvent|doit|doivent|a|ont|sera|faut"
    r"|es|son|está|están|puede|pueden|debe|deben|hay|tiene|tienen)\b",
    re.IGNORECASE,
)
_THE = re.compile(r"\b(?:the|der|die|das|dem|den|le|la|les|el|los|las)\b|\bl['’]", re.IGNORECASE)

# Pronouns that need somebody or something named before; not "it" where it stands for nothing ("is it possible to").
_BEFORE_THAT = "".join(
    rf"|(?<=\b{word} )that"
    for word in [
        "is",
        "are",
        "was",
        "were",
        "does",
        "do",
        "did",
        "can",
        "will",
        "would",
        "has",
        "if",
        "about",
        "after",
        "before",
        "by",
        "for",
        "from",
        "of",
        "on",
        "to",
        "with",
        "like",
    ]
)
_PRONOUN = re.compile(
    r"\b(?:its?|they|them|theirs?|these|those|he|she|his|hers?|him|ones|(?:this|that|the [\w-]+|which|another|other) one(?! of)|thereof|therein|the same|the other one|the latter|the former"
    r"|this(?! (?:year|month|week|morning|quarter|company|document|page|handbook|manual|guide)\b)|that(?=\W*$|,)"
    + _BEFORE_THAT
    + r"|(?<!is )(?<!are )(?<!was )(?<!were )(?<!be )there(?! (?:is|are|was|were|be|any|an?)\b)"
    r"|ihn|ihm|ihr|ihnen|dies|dieser|diese|dieses|diesen|diesem|jene[rsnm]?|dort|dafür|davon|damit|dazu|dabei|daran|darauf|darüber|dagegen|daraus|deren|dessen|derselbe|dasselbe"
    r"|das(?=\W*$|,| (?:auch|noch|schon|nur|für|bei|in|so|alles|denn|dann|genau)\b)|er|elles?|ils?|celui-ci|celle-ci|celui|celle|ceci|cela|ça|ello|eso|esto|ellos|ellas|aquello)\b",
    re.IGNORECASE,
)
_WHOSE = frozenset(["its", "their", "his", "her", "them", "him"])
"""Mostly of somebody whom the same clause names before."""
_POINTING = re.compile(r"th(?:is|at|ese|ose)\b|das\b|dies", re.IGNORECASE)
_GERMAN_THEY = re.compile(r"(?<=\s)(?:sie|es)\b")
"""Small: "Sie" is also how one is addressed."""
_EMPTY_IT = re.compile(
    r"\b(?:is|was|will|would|be|isn['’]t) it (?:be )?(?:possible|allowed|permitted|true|necessary|required|mandatory|ok(?:ay)?|safe|legal|enough|better|best|worth|correct|compulsory|called|believed|said|known|important|difficult|that)\b"
    r"|\b(?:does|will|would|did) it (?:take|cost|mean|matter|make sense)\b(?=[^?]*\bto\b)|\bit (?:is|was|takes|seems|depends)\b|\b(?:made|makes?|find|found) it\b"
    r"|\b(?:gibt|geht|ist|war|wird|dauert|braucht|kostet) es\b|\bes (?:gibt|ist|geht|braucht)\b|\b(?:est-ce qu['’]il|y a-t-il|il (?:y a|faut|est))\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[,;:(–—]|\b(?:and|or|but|then|when|before|after|because|as|if|while|since|though|although|until|wenn|bevor|nachdem|weil|während|quand|cuando|und|oder|aber|dann|et|ou|y|o)\b",
    re.IGNORECASE,
)

_PREPOSITION: Final = (
    r"(?:in|at|on|for|to|from|with|without|by|during|after|before|of|as|since|until|per|im|am|bei|beim|für|nach|mit|ohne|von|vom|aus|seit|bis|ab"
    r"|en|au|aux|à|pour|dans|chez|avec|sans|depuis|para|con|sin|desde|hasta|de)"
)
_NAME = r"(?:[A-ZÄÖÜÉÈÀÇÑ][\w'’.-]*\w|[A-Z]|[\w.-]*\d[\w./-]*)"
_NAMED: Final = re.compile(
    rf"(?<!^)(?<![.?!] )(?:\b(?P<prep>{_PREPOSITION})\s+)?(?P<name>\b{_NAME}(?:\s+(?:of\s+|de\s+|den\s+)?{_NAME})*)"
)
_ONLY_NAMED: Final = re.compile(
    rf"(?:(?P<prep>{_PREPOSITION})\s+)?(?P<name>{_NAME}(?:\s+(?:of\s+|de\s+)?{_NAME})*)", re.UNICODE
)


def standalone(question: str, history: Sequence[Message]) -> str:
    """The question as it can be understood without the conversation: with the other name in the last question's place
    ("And in Porto?"), or with the last question's topic words behind it. One that stands alone is left as it is."""
    earlier = [turn.content.strip() for turn in history if turn.role == "user" and turn.content.strip()]
    said = [turn.content for turn in history if turn.role == "assistant" and turn.content.strip()]
    about = ""
    for one in earlier[-_LOOKED_BACK:]:
        about = _resolved(one, about, "")
    return _resolved(question, about, said[-1] if said else "")


def leans(question: str) -> bool:
    """Whether a question can hardly be understood without what was said before it."""
    asked = terms_of(question)
    n_words = len(asked.content)
    if _ALSO.match(question) and n_words < _MANY:
        return True
    if _AND.match(question) and n_words < _MANY and not (asked.names and n_words > _FEW + 1):
        return True
    if _lacks_antecedent(question):
        return True
    named = bool(asked.names or asked.identifiers)
    if n_words <= _FEW and not _VERB.search(question):
        return True  # "How long?", "Contractors?", "For how many days?"
    return n_words <= 1 and not named and _THE.search(question) is not None  # "What is the deadline?"


def _lacks_antecedent(question: str) -> bool:
    """A pronoun with nothing in an earlier clause of the question that it may stand for."""
    bare = _EMPTY_IT.sub(lambda match: " " * len(match.group()), question)
    found = [*_PRONOUN.finditer(bare)]
    if terms_of(question).language == "german":
        found = [one for one in found if one.group().lower() not in ("his", "he", "one", "ones")]
        found += _GERMAN_THEY.finditer(bare)
    if not found:
        return False
    first = min(found, key=re.Match.start)
    before = question[: first.start()]
    if first.group().lower() in _WHOSE and len(terms_of(before).content) >= _FEW:
        return False
    clauses = [match for match in _CLAUSE.finditer(before) if before[: match.start()].strip()]
    if clauses and _POINTING.match(first.group()) and not before[clauses[-1].end() :].strip():
        clauses.pop()  # "How long after that"
    return not clauses or not terms_of(question[: clauses[-1].start()]).content


def _resolved(question: str, about: str, said: str) -> str:
    if not about or not leans(question):
        return question
    return _substituted(question, about) or _extended(question, about, said)


def _substituted(question: str, about: str) -> str | None:
    """The last question with another name or number in the place of its only one of that kind; None where the
    question is no mere name, or where it is not clear whose place it takes."""
    rest = _ALSO.sub("", question, count=1)
    rest = (_AND.sub("", rest, count=1) if rest == question else rest).strip(" ?!.¿\u00a0")
    asked = _ONLY_NAMED.fullmatch(rest)
    if asked is None:
        return None
    places = [
        place
        for place in _NAMED.finditer(about)
        if _shape(place["name"]) == _shape(asked["name"]) and bool(place["prep"]) >= bool(asked["prep"])
    ]
    if len(places) != 1:
        return None
    place = places[0]
    start, end = place.span() if asked["prep"] else place.span("name")
    return f"{about[:start]}{asked[0] if asked['prep'] else asked['name']}{about[end:]}"


def _shape(name: str) -> str:
    """Years take the place of years, codes that of codes built alike, names that of names."""
    if not any(char.isdigit() for char in name):
        return "name"
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", name))


def _extended(question: str, about: str, said: str) -> str:
    asked, spoken = terms_of(question), terms_of(about)
    carried: dict[str, str] = {}
    for token in spoken.tokens:
        if token.content and token.stem not in asked.stems and not token.text.isdigit():
            carried.setdefault(token.stem, token.text)
    words = list(carried.values())[:_MAX_CARRIED]
    words += [name for name in _persons(question, said) if name not in words]
    return f"{question} ({' '.join(words)})" if words else question


def _persons(question: str, said: str) -> list[str]:
    """The first name of the last answer, for "he" and "she": a run of capitalised words."""
    if not re.search(r"\b(?:he|she|his|hers?|him)\b", question, re.IGNORECASE):
        return []
    terms: Terms = terms_of(said)
    names: list[str] = []
    for one, token in enumerate(terms.tokens):
        if token.stem in terms.names and token.text[:1].isupper():
            names.append(token.text)
        elif names and one and terms.tokens[one - 1].stem in terms.names:
            break
    return names[:3]
