from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.terms import language_of, terms_of
from rag.values import Date, identifier_key, readings


def values(text: str) -> list[tuple[set[str], str]]:
    return [(set(quantity.readings), quantity.unit) for quantity in terms_of(text).quantities]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("It holds 1,200 items.", "1200", ""),
        ("It holds 1200 items.", "1200", ""),
        ("It holds twelve hundred items.", "1200", ""),
        ("You get five days.", "5", "day"),
        ("You get twenty-five days.".replace("-", " "), "25", "day"),
        ("It costs $5.", "5", "usd"),
        ("It costs 5 USD.", "5", "usd"),
        ("It costs USD 5.", "5", "usd"),
        ("It costs 5 dollars.", "5", "usd"),
        ("It costs €1,234.50.", "1234.5", "eur"),
        ("Es kostet 1.234,50 Euro.", "1234.5", "eur"),
        ("It cost 1.2 million dollars.", "1200000", "usd"),
        ("It cost $3M.", "3000000", "usd"),
        ("Limit: 20 %", "20", "percent"),
        ("Limit: 20 percent", "20", "percent"),
        ("Files up to 5GB.", "5", "gb"),
        ("Files up to 5 gigabytes.", "5", "gb"),
        ("It waits 500ms.", "500", "millisecond"),
        ("Keep it at -5 °C.", "-5", "celsius"),
        ("It opens at 9:30 pm.", "1290", "clock"),
        ("It opens at 21:30.", "1290", "clock"),
        ("a 30-day trial", "30", "day"),
        ("thirty calendar days", "30", "day"),
        ("two thousand five hundred users", "2500", ""),
    ],
)
def test_quantities_are_the_same_however_they_are_written(text: str, value: str, unit: str) -> None:
    assert [(unit_of, value in found) for found, unit_of in values(text)] == [(unit, True)]


def test_a_number_that_can_be_read_two_ways_keeps_both_readings() -> None:
    assert readings("1.200") == {"1.2", "1200"}
    assert readings("1,200") == {"1200"}


@pytest.mark.parametrize(
    "text",
    ["on March 5, 2024", "on 5 March 2024", "on 2024-03-05", "am 5. März 2024", "am 05.03.2024", "the 5th of March 2024".replace("5th of", "5"), "le 5 mars 2024"],
)  # fmt: skip
def test_dates_are_the_same_however_they_are_written(text: str) -> None:
    assert [date[:3] for date in terms_of(text).dates] == [(2024, 3, 5)]


def test_a_month_without_a_day_is_a_date_and_the_verb_may_is_none() -> None:
    assert terms_of("It began in October 1973.").dates[0][:3] == Date(1973, 10, None, 0)[:3]
    assert terms_of("You may leave at 5.").dates == ()
    assert terms_of("May I leave?").dates == ()


def test_a_date_is_no_quantity_but_its_year_is() -> None:
    assert values("It ended on March 5, 2024.") == [({"2024"}, "year")]


@pytest.mark.parametrize(
    ("text", "bound"),
    [("up to 5 days", "most"), ("at most 5 days", "most"), ("no more than 5 days", "most"), ("less than $5", "most"),
     ("at least 5 days", "least"), ("more than 5 days", "least"), ("5 days or more", "least"), ("a minimum of 5 days", "least"),
     ("5 days", ""), ("carry over 5 days", ""), ("höchstens 5 Tage", "most"), ("mindestens 5 Tage", "least")],
)  # fmt: skip
def test_bounds(text: str, bound: str) -> None:
    assert [quantity.direction for quantity in terms_of(text).quantities] == [bound]


@pytest.mark.parametrize(
    ("text", "identifier"),
    [("Error ERR-1042 occurred.", "err1042"), ("error err_1042", "err1042"), ("Error ERR 1042", "err1042"),
     ("Set max_retries first.", "maxretries"), ("Install v2.1.0 now.", "v210"), ("part AX-200B/3", "ax200b3"),
     ("Write to help@example.com.", "helpexamplecom"), ("Call getUserName first.", "getusername")],
)  # fmt: skip
def test_identifiers(text: str, identifier: str) -> None:
    assert identifier in terms_of(text).identifiers


def test_identifier_keys_forget_separators_only() -> None:
    assert identifier_key("ERR-1042") == identifier_key("err_1042") != identifier_key("ERR-1043")


def test_names_are_capitalised_words_inside_a_sentence() -> None:
    assert terms_of("The plan was made by Ingrid Dahl in Oslo.").names == {"ingrid", "dahl", "oslo"}
    assert terms_of("Der Plan wurde im Büro gemacht und ist nicht neu.").names == frozenset()


@pytest.mark.parametrize(
    ("text", "denied"),
    [("Refunds are not given.", "refund"), ("There are no refunds.", "refund"), ("You can't park here.", "park"),
     ("It runs without electricity.", "electr"), ("Parking is prohibited.", "permit"), ("It is unavailable.", "avail"),
     ("Es gibt keine Erstattung und das ist so.", "erstatt")],
)  # fmt: skip
def test_what_is_denied(text: str, denied: str) -> None:
    assert any(denied in negation.scope for negation in terms_of(text).negations)


@pytest.mark.parametrize(
    "text",
    ["Not only cars but also bikes are allowed.", "It takes no more than 5 days.", "No, it is allowed.", "Room no. 5 is free."],
)  # fmt: skip
def test_what_denies_nothing(text: str) -> None:
    assert terms_of(text).negations == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [("How many days can I carry over?", "english"), ("Wie lange ist die Kündigungsfrist?", "german"),
     ("Quelle est la durée de la garantie ?", "french"), ("¿Cuántos días de vacaciones puede tener el empleado?", "spanish"),
     ("ERR-1042", "english")],
)  # fmt: skip
def test_the_language_is_told_by_its_function_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_inflected_words_share_a_stem() -> None:
    assert set(terms_of("The manager approves refunds.").content) == set(
        terms_of("Managers approved a refund.").content
    )


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    terms = terms_of(text)
    for token in terms.tokens:
        assert text[token.start : token.start + 1] == token.text[:1] or not token.text or token.text == "not"
    assert all(quantity.position < len(terms.tokens) for quantity in terms.quantities)
    assert terms.n_clauses >= 0
