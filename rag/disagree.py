"""What in a quote disagrees with a claim: a number, unit, bound, date, code, name, denial, opposite, who did it to
whom, or which number belongs to what. Each function yields its reason in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from rag import lexicon, measures
from rag.stems import is_in
from rag.terms import Terms
from rag.values import Date, Quantity, Token, identifier_key

_ADJACENT = 3


def disagreements(claim: Terms, quote: Terms, around: Terms, known: frozenset[str]) -> Iterator[str]:
    yield from _numbers(claim, quote, around)
    yield from _rates(claim, quote, around)
    yield from _dates(claim, quote, around)
    yield from _identifiers(claim, quote, around)
    yield from _names(claim, quote, around)
    yield from _replaced_subject(claim, quote, around, known)
    yield from _negations(claim, quote)
    yield from _opposites(claim, quote)
    yield from _roles(claim, quote)
    yield from _bindings(claim, quote)


def _numbers(claim: Terms, quote: Terms, around: Terms) -> Iterator[str]:
    for quantity in claim.quantities:
        home = quote
        same = [other for other in quote.quantities if _equal(quantity, other)]
        if not same:
            home = around
            same = [other for other in around.quantities if _equal(quantity, other)]
        if not same:
            if not _in_identifier(quantity, claim, quote, around):
                yield f"the source does not say {claim.tokens[quantity.position].text}"
            continue
        if quantity.unit and not any(_units_agree(quantity.unit, other, quote, around) for other in same):
            yield f"the source gives {claim.tokens[quantity.position].text} in another unit"
        if not quantity.ordinal and not any(_noun_agrees(quantity, claim, other, home) for other in same):
            yield f"the source's {claim.tokens[quantity.position].text} counts something else"
        if quantity.direction and all(
            other.direction and other.direction != quantity.direction for other in same
        ):
            yield f"the source bounds {claim.tokens[quantity.position].text} from the other side"


def _rates(claim: Terms, quote: Terms, around: Terms) -> Iterator[str]:
    there = quote.rates | around.rates
    for rate in claim.rates - there:
        named = any(
            measures.UNITS.get(token.text.lower()) == rate for token in (*quote.tokens, *around.tokens)
        )
        if there or not named:
            yield f"the source does not count by the {rate}"


def contradicts(claim: Terms, quote: Terms) -> bool:
    """Whether the quote has a number of the same unit as one of the claim's, and not that number."""
    for quantity in claim.quantities:
        rivals = [other for other in quote.quantities if other.unit == quantity.unit]
        if rivals and not any(_equal(quantity, other) for other in rivals):
            return True
    return False


def _equal(one: Quantity, other: Quantity) -> bool:
    return (
        one.ordinal == other.ordinal
        and bool(one.readings & other.readings)
        and ((one.unit == "clock") == (other.unit == "clock"))
    )


def _units_agree(unit: str, other: Quantity, quote: Terms, around: Terms) -> bool:
    if other.unit == unit or (unit == "year" and len(next(iter(other.readings))) == 4):
        return True
    if other.unit:
        return False
    # "Days | 5": the unit stands in the header, or elsewhere in the sentence.
    return any(
        measures.UNITS.get(token.text.lower()) == unit for terms in (around, quote) for token in terms.tokens
    )


def _noun_agrees(quantity: Quantity, claim: Terms, other: Quantity, quote: Terms) -> bool:
    """Whether what is counted fits: not "12 sick days" where the source has 12 of something and 5 sick days."""
    counted = [token.stem for token in _following(claim, quantity.position) if token.content][:1]
    for stem in counted:
        owners = [
            rival
            for rival in quote.quantities
            if stem in [token.stem for token in _following(quote, rival.position) if token.content][:2]
        ]
        if owners and not any(rival.readings & quantity.readings for rival in owners):
            return False
        replaced = [token.stem for token in _following(quote, other.position) if token.content][:1]
        if replaced and not is_in(stem, quote.stems) and not any(is_in(one, claim.stems) for one in replaced):
            return False
    return True


def _following(terms: Terms, position: int) -> list[Token]:
    clause = terms.tokens[position].clause
    return [
        token for token in terms.tokens[position + 1 : position + 1 + _ADJACENT] if token.clause == clause
    ]


def _in_identifier(quantity: Quantity, claim: Terms, quote: Terms, around: Terms) -> bool:
    """Whether "error 1042" means the source's ERR-1042."""
    number = identifier_key(claim.tokens[quantity.position].text)
    return len(number) > 1 and any(
        number in re.findall(r"\d+", identifier) for identifier in quote.identifiers | around.identifiers
    )


def _dates(claim: Terms, quote: Terms, around: Terms) -> Iterator[str]:
    there = (*quote.dates, *around.dates)
    for date in claim.dates:
        if any(_compatible(date, other) for other in there):
            continue
        yield f"the source has another date than {claim.tokens[date.position].text}"


def _compatible(claimed: Date, other: Date) -> bool:
    return (
        claimed.month == other.month
        and (claimed.day is None or claimed.day == other.day)
        and (claimed.year is None or other.year is None or claimed.year == other.year)
    )


def _identifiers(claim: Terms, quote: Terms, around: Terms) -> Iterator[str]:
    if not claim.identifiers:
        return
    there = quote.identifiers | around.identifiers | _joined(quote) | _joined(around)
    for identifier in claim.identifiers - there:
        yield f"the source does not have {identifier}"


def _joined(terms: Terms) -> frozenset[str]:
    words = [identifier_key(token.text) for token in terms.tokens]
    return frozenset([*words, *(a + b for a, b in pairwise(words))])


def _names(claim: Terms, quote: Terms, around: Terms) -> Iterator[str]:
    have = quote.stems | around.stems | quote.identifiers
    initials = "".join(token.text[0].lower() for token in quote.tokens if token.text[:1].isupper())
    for name in claim.names:
        if is_in(name, have) or name in claim.identifiers:
            continue
        if 2 <= len(name) <= 6 and name in initials:
            continue  # an acronym of capitalised words in the source
        yield f"the source does not name {claim.words.get(name, name)}"


def _replaced_subject(claim: Terms, quote: Terms, around: Terms, known: frozenset[str]) -> Iterator[str]:
    """A sentence that opens with a name no source has, where the quote opens with another or names another."""
    opening = claim.tokens[0] if claim.tokens else None
    if (
        opening is None
        or not _may_be_name(opening)
        or is_in(opening.stem, quote.stems | around.stems | known)
    ):
        return
    have = claim.stems
    rival = quote.tokens[0] if quote.tokens else None
    if (quote.names - have) or (rival is not None and _may_be_name(rival) and rival.stem not in have):
        yield f"no source names {opening.text}"


def _may_be_name(token: Token) -> bool:
    """A capitalised word that opens a sentence without an article and is no plural."""
    return token.content and token.text[:1].isupper() and not token.text.endswith("s")


def _negations(claim: Terms, quote: Terms) -> Iterator[str]:
    """A denial in one must deny the same thing in the other."""
    claimed, quoted = set(claim.content), set(quote.content) | set(quote.stems)
    for negation in quote.negations:
        denied = negation.scope & claimed
        telling = len(denied) * 2 >= len(negation.scope)
        if denied and telling and not any(own.scope & negation.scope for own in claim.negations):
            yield "the source denies it"
            return
    for own in claim.negations:
        if any(own.scope & negation.scope for negation in quote.negations):
            continue
        if own.scope & quoted or not quote.negations:
            yield "the source does not deny it"
            return


def _opposites(claim: Terms, quote: Terms) -> Iterator[str]:
    quoted = {token.text.lower() for token in quote.tokens}
    claimed = {token.text.lower() for token in claim.tokens}
    for word in claimed & lexicon.OPPOSITES.keys():
        if word in quoted:
            continue
        against = lexicon.OPPOSITES[word] & quoted - claimed
        if against and not (lexicon.OPPOSITES[word] & claimed):
            yield f"the source says {min(against)}, not {word}"
            return


def _roles(claim: Terms, quote: Terms) -> Iterator[str]:
    """Who did it to whom: "A sued B" is not "B sued A", unless one of them is in the passive voice."""
    order = _positions(quote)
    tokens = [token for token in claim.tokens if token.content and token.stem in order]
    names = [index for index, token in enumerate(tokens) if _is_actor(token, claim)]
    for left, right in pairwise(names):
        if tokens[left].clause != tokens[right].clause:
            continue
        first, second = tokens[left].stem, tokens[right].stem
        between = [token.stem for token in tokens[left + 1 : right]]
        if first == second or not between:
            continue
        for verb in between:
            if (
                len(order[first]) == len(order[second]) == len(order[verb]) == 1
                and order[second][0] < order[verb][0] < order[first][0]
                and _passive(claim) == _passive(quote)
            ):
                yield "the source has it the other way round"
                return


def _is_actor(token: Token, terms: Terms) -> bool:
    return (
        token.stem in terms.names
        or (token is terms.tokens[0] and token.text[:1].isupper())
        or token.text.istitle()
    )


def _positions(terms: Terms) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, token in enumerate(terms.tokens):
        found.setdefault(token.stem, []).append(index)
    return found


def _passive(terms: Terms) -> bool:
    return any(token.text.lower() in ("by", "von", "durch", "par", "por") for token in terms.tokens)


def _bindings(claim: Terms, quote: Terms) -> Iterator[str]:
    """Which number belongs to what: "Basic costs $5 and Premium costs $9" does not say that Premium costs $5."""
    if len(quote.quantities) < 2 or quote.n_clauses < 2:
        return
    if any(
        token.text.lower() in ("respectively", "respektive", "jeweils", "respectivement")
        for token in quote.tokens
    ):
        return
    wanted = set(claim.content)
    content = set(quote.content)
    by_clause: dict[int, set[str]] = {}
    for token in quote.tokens:
        if token.content and token.stem in content:
            by_clause.setdefault(token.clause, set()).add(token.stem)
    for quantity in claim.quantities:
        homes = {quote.tokens[other.position].clause for other in quote.quantities if _equal(quantity, other)}
        if not homes:
            continue
        rivals = {
            quote.tokens[other.position].clause
            for other in quote.quantities
            if not _equal(quantity, other) and other.unit == quantity.unit
        } - homes
        claimed_others = {
            quote.tokens[other.position].clause
            for own in claim.quantities
            if own is not quantity
            for other in quote.quantities
            if _equal(own, other)
        }
        here = set().union(*(by_clause.get(home, set()) for home in homes))
        home_sentences = {token.sentence for token in quote.tokens if token.clause in homes}
        for rival in rivals - claimed_others:
            there = by_clause.get(rival, set())
            theirs, ours = (there - here) & wanted, (here - there) & wanted
            apart = all(
                token.sentence not in home_sentences for token in quote.tokens if token.clause == rival
            )
            if theirs and (apart or (here - there - wanted and len(theirs) >= len(ours))):
                yield f"the source says {claim.tokens[quantity.position].text} of something else"
                return
