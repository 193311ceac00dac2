"""What a piece of text says, in a form that can be compared: word stems, quantities, dates, identifiers,
names, negations and comparisons.

Stems come from Snowball (https://snowballstem.org) in the language that the text seems to be in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from rag import lexicon
from rag.lexicon import Direction, Language


class Quantity(NamedTuple):
    """A number as written; ``readings`` holds more than one where "1.200" may be 1.2 or 1200."""

    readings: frozenset[str]
    unit: str
    """Canonical unit or currency, "" if there is none or it is no known unit."""
    direction: Direction
    ordinal: bool
    position: int
    """Index into ``Terms.tokens``."""


class Date(NamedTuple):
    year: int | None
    month: int
    day: int | None
    position: int


class Negation(NamedTuple):
    scope: frozenset[str]
    """Stems of the words it denies: the next few content words of its clause."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    stem: str
    """Lower-case stem; identifiers keep all their characters but separators."""
    content: bool
    """False for stop words."""
    clause: int
    """Counts the clauses of the text, from 0."""
    sentence: int
    start: int


@dataclass(frozen=True, slots=True)
class Terms:
    language: Language
    tokens: tuple[Token, ...]
    stems: frozenset[str]
    """Stems of all words, stop words included: what a claim's words are looked up in."""
    content: tuple[str, ...]
    """Distinct stems of content words (numbers and dates are not among them), in order."""
    quantities: tuple[Quantity, ...]
    dates: tuple[Date, ...]
    identifiers: frozenset[str]
    names: frozenset[str]
    """Stems of words that are capitalised where the language's spelling does not ask for it."""
    negations: tuple[Negation, ...]
    rates: frozenset[str]
    """Units of time that something counts for: {"month"} for "$9 per month" and "monthly"."""
    words: dict[str, str] = field(compare=False)
    """Content stem → the word as written, lower case (for look-ups that stem by themselves)."""

    @property
    def n_clauses(self) -> int:
        return self.tokens[-1].clause + 1 if self.tokens else 0


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
_UNIT = "|".join(sorted(map(re.escape, lexicon.ATTACHED_UNITS), key=len, reverse=True))
_TOKEN = re.compile(_PATTERN.replace("NUMBER", _NUMBER).replace("UNIT", _UNIT), re.VERBOSE)
_CAMEL = re.compile(r"[a-z][A-Z]")
_SEPARATORS = re.compile(r"[\W_]+")
_TIMES = frozenset(["second", "minute", "hour", "day", "week", "month", "quarter", "year"])
_NEGATION_SCOPE = 3
_UNIT_REACH = 2


@lru_cache(maxsize=4096)
def terms_of(text: str, language: Language | None = None) -> Terms:
    """Analyses one sentence or passage. Cached: sources are compared with every sentence of an answer."""
    spoken = language or language_of(text)
    return _Analysis(text, spoken).terms()


def language_of(text: str) -> Language:
    """The language whose function words are the most frequent; English where nothing tells."""
    words = re.findall(r"[^\W\d_]+", text[:4000].lower())
    scores = {name: sum(word in marks for word in words) for name, marks in lexicon.LANGUAGE_MARKS.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > scores["english"] else "english"


def stem(word: str, language: Language = "english") -> str:
    return _stemmer(language).stemWord(word.lower().replace("’", "'"))  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def _stemmer(language: Language) -> Any:
    import Stemmer

    return Stemmer.Stemmer(language)


class _Analysis:
    """One pass over the tokens of a text; the state of the pass lives here and nowhere else."""

    def __init__(self, text: str, language: Language) -> None:
        self.text, self.language = text, language
        self.stop = lexicon.STOP_WORDS[language]
        self.stem_word = _stemmer(language).stemWord
        self.tokens: list[Token] = []
        self.kinds: list[str] = []
        self.quantities: list[Quantity] = []
        self.dates: list[Date] = []
        self.identifiers: set[str] = set()
        self.names: dict[int, str] = {}
        self.clause = self.sentence = 0
        self.clause_used = False
        self.sentence_start = True

    def terms(self) -> Terms:
        matches = list(_TOKEN.finditer(self.text))
        for index, match in enumerate(matches):
            self._take(match, matches[index + 1] if index + 1 < len(matches) else None)
        self._read_dates()
        self._read_numbers()
        content: dict[str, None] = {}
        words: dict[str, str] = {}
        for token, kind in zip(self.tokens, self.kinds, strict=True):
            if token.content and kind in ("word", "identifier"):
                content.setdefault(token.stem)
                words.setdefault(token.stem, token.text.lower())
        return Terms(
            language=self.language,
            tokens=tuple(self.tokens),
            stems=frozenset(token.stem for token in self.tokens),
            content=tuple(content),
            quantities=tuple(self.quantities),
            dates=tuple(self.dates),
            identifiers=frozenset(self.identifiers),
            names=frozenset(name for at, name in self.names.items() if self.kinds[at] == "word"),
            negations=tuple(self._negations()),
            rates=frozenset(self._rates()),
            words=words,
        )

    # Tokens

    def _take(self, match: re.Match[str], following: re.Match[str] | None) -> None:
        kind, text = match.lastgroup or "", match.group()
        if kind in ("scale", "attached", "suffix"):
            kind = "number"
        if kind == "break":
            self._break(text, following)
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

    def _break(self, text: str, following: re.Match[str] | None) -> None:
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

    # Quantities and dates

    def _attach(self, match: re.Match[str]) -> None:
        """Splits "5GB", "20 %" and "3rd" into number and unit while the match still tells them apart."""
        unit = lexicon.UNITS.get((match.group("attached") or "").replace(" ", "").lower(), "")
        scale = lexicon.SCALES.get((match.group("scale") or "").lower(), 1)
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

    def _read_numbers(self) -> None:
        """Completes the numbers with units, currencies, scales and bounds, and adds those written as words."""
        taken = {quantity.position: quantity for quantity in self.quantities}
        dated = {date.position for date in self.dates}
        found: list[Quantity] = []
        index = 0
        while index < len(self.tokens):
            kind, token = self.kinds[index], self.tokens[index]
            quantity = taken.get(index)
            last = index
            if kind == "clock":
                quantity = Quantity(frozenset([clock(token.text)]), "clock", "", False, index)
            elif quantity is None and kind == "word":
                value, last = self._spelled(index)
                if value is not None:
                    quantity = Quantity(frozenset([_plain(value)]), "", "", False, index)
                elif token.text.lower() in lexicon.ORDINALS and not self._is_second_unit(index):
                    ordinal = str(lexicon.ORDINALS[token.text.lower()])
                    quantity = Quantity(frozenset([ordinal]), "", "", True, index)
            if quantity is not None and index not in dated:
                quantity, last = self._completed(quantity, index, last)
                found.append(quantity)
                for covered in range(index, last + 1):
                    if self.kinds[covered] == "word":
                        self.kinds[covered] = "number-word"
            index = last + 1
        for date in self.dates:
            if date.year is not None:
                found.append(Quantity(frozenset([str(date.year)]), "year", "", False, date.position))
        self.quantities = found

    def _is_second_unit(self, index: int) -> bool:
        return self.tokens[index].text.lower() == "second" and index > 0 and self.kinds[index - 1] == "number"

    def _spelled(self, index: int) -> tuple[float | None, int]:
        """(value, index of the last word) of a number in words that starts here, else (None, index)."""
        total, current, last, seen = 0.0, 0.0, index, False
        for position in range(index, min(index + 6, len(self.tokens))):
            word = self.tokens[position].text.lower()
            if word in lexicon.NUMBER_WORDS and self.kinds[position] == "word":
                if seen and lexicon.NUMBER_WORDS[word] >= 10 and current % 100:
                    break
                current += lexicon.NUMBER_WORDS[word]
            elif word in lexicon.MULTIPLIERS and (seen or word in ("dozen", "dutzend")):
                current = max(current, 1) * lexicon.MULTIPLIERS[word]
                if lexicon.MULTIPLIERS[word] >= 1000:
                    total, current = total + current, 0.0
            else:
                break
            seen, last = True, position
        if not seen:
            return None, index
        word = self.tokens[index].text.lower()
        if word in lexicon.VAGUE_ONES and last == index:
            following = self.tokens[index + 1].text.lower() if index + 1 < len(self.tokens) else ""
            if following not in lexicon.UNITS:
                return None, index  # "one of them", "a day": no number is claimed
        return total + current, last

    def _completed(self, quantity: Quantity, index: int, last: int) -> tuple[Quantity, int]:
        numbers, unit, ordinal = quantity.readings, quantity.unit, quantity.ordinal
        following = last + 1
        if following < len(self.tokens) and self.kinds[following] == "word":
            word = self.tokens[following].text.lower()
            if word in lexicon.MULTIPLIERS and lexicon.MULTIPLIERS[word] >= 100 and last == index:
                numbers = frozenset(_plain(float(n) * lexicon.MULTIPLIERS[word]) for n in numbers)
                last, following = following, following + 1
        if index > 0 and self.kinds[index - 1] == "money":
            unit = lexicon.UNITS[self.tokens[index - 1].text]
        elif index > 0 and self.tokens[index - 1].text in lexicon.CURRENCY_CODES:
            unit = lexicon.UNITS[self.tokens[index - 1].text.lower()]
        elif not unit and following < len(self.tokens):
            unit, last = self._unit_at(following, last)
        if (
            not unit
            and not ordinal
            and len(numbers) == 1
            and re.fullmatch(r"1[5-9]\d\d|20\d\d", next(iter(numbers)))
        ):
            written = self.tokens[index].text
            unit = "year" if written.isdigit() else ""
        return Quantity(numbers, unit, self._direction(index, last), ordinal, index), last

    def _unit_at(self, position: int, last: int) -> tuple[str, int]:
        """The unit that follows a number, an adjective or two between them allowed: "30 calendar days"."""
        clause = self.tokens[last].clause
        for reach in range(_UNIT_REACH + 1):
            at = position + reach
            if at >= len(self.tokens) or self.tokens[at].clause != clause:
                break
            word = self.tokens[at].text
            unit = lexicon.UNITS.get(word if word in ("%", "‰") else word.lower(), "")
            if unit and (len(word) > 2 or word in lexicon.SHORT_UNITS or reach == 0):
                return unit, (at if reach == 0 else last)
            if self.kinds[at] != "word" or not self.tokens[at].content:
                break
        return "", last

    def _direction(self, index: int, last: int) -> Direction:
        start = self.tokens[max(0, index - 5)].start
        before = self.text[start : self.tokens[index].start].lower()
        tail = self.tokens[last]
        after = self.text[tail.start + len(tail.text) :][:24].lower()
        for pattern, direction in lexicon.BOUNDS_BEFORE:
            if pattern.search(before):
                return direction
        for pattern, direction in lexicon.BOUNDS_AFTER:
            if pattern.match(after):
                return direction
        return ""

    def _read_dates(self) -> None:
        for index, token in enumerate(self.tokens):
            if self.kinds[index] == "iso":
                year, month, day = (int(part) for part in token.text.split("-"))
                self._date(year, month, day, index, ())
            elif self.kinds[index] == "numeric_date":
                self._numeric_date(token.text, index)
            elif self.kinds[index] == "word" and token.text.lower().rstrip(".") in lexicon.MONTHS:
                if token.text[0].islower() and self.language == "english":
                    continue  # "may", "march", "mar" in running text
                self._named_month(index, lexicon.MONTHS[token.text.lower().rstrip(".")])

    def _numeric_date(self, text: str, index: int) -> None:
        first, second, year = (int(part) for part in re.split(r"[./]", text))
        if "." in text or first > 12:
            self._date(year, second, first, index, ())
        else:
            self._date(year, first, second, index, ())

    def _named_month(self, index: int, month: int) -> None:
        used: list[int] = []
        day: int | None = None
        year: int | None = None
        numbers = {quantity.position: quantity for quantity in self.quantities}

        def value(at: int) -> int | None:
            if at not in numbers or len(numbers[at].readings) != 1 or numbers[at].unit:
                return None
            text = next(iter(numbers[at].readings))
            return int(text) if text.isdigit() else None

        before, after = value(index - 1), value(index + 1)
        if before is not None and 1 <= before <= 31:
            day, used = before, [*used, index - 1]
            at = index + 1
        elif after is not None and 1 <= after <= 31:
            day, used = after, [*used, index + 1]
            at = index + 2
        else:
            at = index + 1
        if at < len(self.tokens) and self.tokens[at].text.lower() in ("of", "de"):
            at += 1
        written = value(at)
        if written is not None and 1000 <= written <= 2999:
            year, used = written, [*used, at]
        if day is None and year is None and self.tokens[index].text.lower() in ("may", "mar", "march", "sun"):
            return
        self._date(year, month, day, index, used)

    def _date(self, year: int | None, month: int, day: int | None, index: int, used: Iterable[int]) -> None:
        if not (1 <= month <= 12 and (day is None or 1 <= day <= 31)):
            return
        self.dates.append(Date(year, month, day, index))
        covered = {index, *used}
        self.quantities = [quantity for quantity in self.quantities if quantity.position not in covered]
        for at in covered:
            self.kinds[at] = "date"
        for at in used:
            if self.tokens[at].clause != self.tokens[index].clause:
                # The comma of "March 5, 2024" is no clause boundary.
                home = self.tokens[index]
                self.tokens[at] = replace(self.tokens[at], clause=home.clause, sentence=home.sentence)

    def _rates(self) -> Iterator[str]:
        for index, token in enumerate(self.tokens):
            word = token.text.lower()
            if word in lexicon.RATE_ADVERBS:
                yield lexicon.RATE_ADVERBS[word]
            elif word in lexicon.RATE_WORDS and index + 1 < len(self.tokens):
                unit = lexicon.UNITS.get(self.tokens[index + 1].text.lower(), "")
                if unit in _TIMES:
                    yield unit

    # Negations

    def _negations(self) -> Iterator[Negation]:
        for index, kind in enumerate(self.kinds):
            token = self.tokens[index]
            if kind == "negation":
                if not self._denies(index):
                    continue
                scope = self._scope(index)
                if scope:
                    yield Negation(frozenset(scope))
            elif kind in ("word", "identifier"):
                lower = token.text.lower()
                positive = lexicon.NEGATIVE_WORDS.get(lower)
                if positive is None and kind == "word":
                    positive = _without_prefix(lower)
                if positive is not None:
                    yield Negation(frozenset([self.stem_word(positive)]))

    def _denies(self, index: int) -> bool:
        if self.tokens[index].text.lower() in ("no", "nein", "non") and index == 0:
            rest = self.text[self.tokens[0].start + len(self.tokens[0].text) :].lstrip()
            if rest.startswith((",", ".", ":", ";", "–", "—", "!")):
                return False  # "No, they expire."
        around = self.text[self.tokens[index].start : self.tokens[index].start + 40].lower()
        before = self.text[max(0, self.tokens[index].start - 16) : self.tokens[index].start].lower()
        return not (lexicon.NOT_A_DENIAL.match(around) or lexicon.NOT_A_DENIAL_BEFORE.search(before))

    def _scope(self, index: int) -> list[str]:
        clause = self.tokens[index].clause
        scope: list[str] = []
        for at in range(index + 1, len(self.tokens)):
            if self.tokens[at].clause != clause or len(scope) >= _NEGATION_SCOPE:
                break
            if self.tokens[at].content and self.kinds[at] in ("word", "identifier"):
                scope.append(self.tokens[at].stem)
        if not scope:  # "Refunds are not given."
            before = [
                token.stem
                for token, kind in zip(self.tokens[:index], self.kinds[:index], strict=True)
                if token.clause == clause and token.content and kind in ("word", "identifier")
            ]
            scope = before[-_NEGATION_SCOPE:]
        return scope


def _without_prefix(word: str) -> str | None:
    for prefix in ("un", "non", "in", "im", "dis"):
        if word.startswith(prefix) and word[len(prefix) :] in lexicon.DENIABLE:
            return word[len(prefix) :]
    return None


def readings(number: str, scale: float = 1) -> frozenset[str]:
    """Every value that a written number may have, as canonical decimal text."""
    digits = number.strip().replace("−", "-").lstrip("+")
    digits = re.sub(r"(?<=\d)['\u2019\u00a0\u202f ](?=\d{3})", "", digits)
    candidates: list[str]
    if re.fullmatch(r"-?\d{1,3}\.\d{3}", digits):
        candidates = [digits, digits.replace(".", "")]
    elif re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits):
        candidates = [digits.replace(",", "")]
    elif re.fullmatch(r"-?\d{1,3}(?:\.\d{3})+(?:,\d+)?", digits):
        candidates = [digits.replace(".", "").replace(",", ".")]
    else:
        candidates = [digits.replace(",", ".")]
    values = []
    for candidate in candidates:
        try:
            values.append(_plain(float(candidate) * scale))
        except ValueError:
            continue
    return frozenset(values) or frozenset([digits])


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def clock(text: str) -> str:
    """Minutes since midnight of "9 am", "9:30 p.m." or "14:05", as text."""
    hour, minute = re.match(r"(\d{1,2})(?::(\d{2}))?", text).groups()  # type: ignore[union-attr]
    hours = int(hour)
    half = re.search(r"([ap])\.?\s*m", text.lower())
    if half:
        hours = hours % 12 + (12 if half.group(1) == "p" else 0)
    return str(hours * 60 + int(minute or 0))


def identifier_key(text: str) -> str:
    """Equal for spellings of one identifier: "ERR-1042", "err_1042" and "ERR 1042"."""
    return _SEPARATORS.sub("", text).lower()
