"""The first pass over a text: its tokens and what kind each is; its codes and names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rag import lexicon, measures
from rag.lexicon import Language
from rag.values import Date, Quantity, Token, identifier_key, readings

_NUMBER = r"(?:\d{1,3}(?:[,.'\u2019\u00a0\u202f ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)(?![\d])"
_PATTERN = r"""
    (?P<iso>\b\d{4}-\d{2}-\d{2}\b)
  | (?P<numeric_date>\b\d{1,2}[./]\d{1,2}[./]\d{4}\b)
  | (?P<web>\b(?:https?://|www\.)[^\s<>"')\]]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<clock>\b\d{1,2}:\d{2}\b(?:\s*[ap]\.?m\b\.?)?|\b\d{1,2}\s*[ap]\.?m\b\.?)
  | (?P<version>\bv?\d+(?:\.\d+){2,}\b|\bv\d+(?:\.\d+)*\b)
  | (?P<money>[$€£¥](?=\s?\d))
  | (?P<spaced>\b(?!(?:USD|EUR|GBP|JPY|CHF|US|AD|BC)\b)[A-Z]{2,6}[ ]\d{2,6}\b(?![.,]\d))
  | (?P<number>(?<![\w.])[-−+]?NUMBER(?:(?P<scale>[kKMBm]|bn|mn)(?![\w])|(?P<attached>[ ]?(?:%|‰|°\s?[CFK]?)|(?:UNIT)(?![\w])))?(?:(?P<suffix>st|nd|rd|th)\b)?(?![\w_]|-[A-Z0-9]{2}))
  | (?P<identifier>\b(?=[\w./#+-]*\d)(?=[\w./#+-]*[^\W\d_])[^\W_]\w*(?:[-_./#+]\w+)*[+#]*|\b\w+(?:_\w+)+|(?<!\w)--?[a-z][\w-]{2,}\b|\b[A-Z]{2,}(?:[-/][A-Z0-9]+)+\b)
  | (?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)
  | (?P<symbol>[%‰])
  | (?P<break>[,;:.!?()–—|\n]|\s-\s)
"""
_UNIT = "|".join(sorted(map(re.escape, measures.ATTACHED_UNITS), key=len, reverse=True))
_TOKEN = re.compile(_PATTERN.replace("NUMBER", _NUMBER).replace("UNIT", _UNIT), re.VERBOSE)
_CAMEL = re.compile(r"[a-z][A-Z]")


@lru_cache(maxsize=8)
def stemmer(language: Language) -> Any:
    import Stemmer

    return Stemmer.Stemmer(language)


class Scan:
    """The tokens of a text; what reads numbers, dates and denials from them goes on with this."""

    def __init__(self, text: str, language: Language) -> None:
        self.text, self.language = text, language
        self.stop = lexicon.STOP_WORDS[language]
        self.stem_word = stemmer(language).stemWord
        self.tokens: list[Token] = []
        self.kinds: list[str] = []
        self.quantities: list[Quantity] = []
        self.dates: list[Date] = []
        self.identifiers: set[str] = set()
        self.names: dict[int, str] = {}
        self.clause = self.sentence = 0
        self.clause_used = False
        self.sentence_start = True

        for match in _TOKEN.finditer(text):
            self._take(match)

    def _take(self, match: re.Match[str]) -> None:
        kind, text = match.lastgroup or "", match.group()
        if kind in ("scale", "attached", "suffix"):
            kind = "number"
        if kind == "break":
            self._break(text)
            return
        if kind == "word":
            self._word(text, match.start())
            return
        if kind in ("identifier", "version", "web", "spaced"):
            key = identifier_key(text)
            self.identifiers.add(key)
            self._push(kind if kind == "identifier" else "identifier", text, key, True, match.start())
        else:
            self._push(kind, text, text.lower(), kind not in ("money", "symbol"), match.start())
            if kind == "number":
                self._attach(match)
        self.sentence_start = False

    def _break(self, text: str) -> None:
        if self.clause_used:
            self.clause, self.clause_used = self.clause + 1, False
        if text in ".!?\n":
            self.sentence += 1
        if text in ".!?\n|:":
            self.sentence_start = True

    def _push(self, kind: str, text: str, stem_text: str, content: bool, start: int) -> None:
        self.tokens.append(Token(text, stem_text, content, self.clause, self.sentence, start))
        self.kinds.append(kind)
        self.clause_used = True

    def _word(self, text: str, start: int) -> None:
        lower = text.lower().replace("’", "'")
        if lower in lexicon.CLAUSE_WORDS and self.clause_used:
            self.clause, self.clause_used = self.clause + 1, False
        if lower.endswith("n't"):
            lower = lower[:-3] or lower
            self._push("word", text[:-3], self.stem_word(lower), False, start)
            self._push("negation", "not", "not", False, start)
            self.sentence_start = False
            return
        lower = lower.removesuffix("'s").removesuffix("'")
        if lower == "cannot":
            self._push("negation", "not", "not", False, start)
            return
        content = lower not in self.stop and (len(lower) > 1 or text.isupper())
        if _CAMEL.search(text) and len(text) > 3:
            self.identifiers.add(identifier_key(text))
        stemmed = self.stem_word(lower)
        if content and self._is_name(text):
            self.names[len(self.tokens)] = stemmed
        kind = "negation" if lower in lexicon.NEGATIONS else "word"
        self._push(kind, text, stemmed, content and kind == "word", start)
        self.sentence_start = False

    def _is_name(self, text: str) -> bool:
        if self.language == "german" or not text[:1].isupper():
            return False
        return not self.sentence_start or (text.isupper() and len(text) > 1)

    def _attach(self, match: re.Match[str]) -> None:
        """Splits "5GB", "20 %" and "3rd" into number and unit while the match still tells them apart."""
        unit = measures.UNITS.get((match.group("attached") or "").replace(" ", "").lower(), "")
        scale = measures.SCALES.get((match.group("scale") or "").lower(), 1)
        number = match.group()
        for part in ("attached", "scale", "suffix"):
            if match.group(part):
                number = number[: match.start(part) - match.start()]
                break
        self.quantities.append(
            Quantity(
                readings(number, scale),
                unit,
                "",
                match.group("suffix") is not None,
                len(self.tokens) - 1,
            )
        )
