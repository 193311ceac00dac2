"""Numbers in words, units of measure, months, and what bounds a number."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Direction: TypeAlias = Literal["", "most", "least"]
"""What a number bounds: "up to 5" bounds from above, "at least 5" from below."""

NUMBER_WORDS: Final = {
    **{word: value for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"])},
    **{word: 20 + 10 * i for i, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])},
    **{word: value for value, word in enumerate(
        ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"])},
    "zwanzig": 20, "dreißig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60,
    "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "sept": 7, "huit": 8, "neuf": 9, "dix": 10, "quinze": 15,
    "vingt": 20, "trente": 30, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9,
    "diez": 10, "veinte": 20, "treinta": 30,
    "twice": 2, "zweimal": 2, "dreimal": 3, "double": 2, "triple": 3,
}  # fmt: skip
VAGUE_ONES: Final = frozenset(["one", "eins", "null", "double"])
MULTIPLIERS: Final = {
    "hundred": 100, "hundert": 100, "thousand": 1000, "tausend": 1000, "million": 1e6, "millions": 1e6,
    "millionen": 1e6, "billion": 1e9, "billions": 1e9, "milliarden": 1e9, "trillion": 1e12, "dozen": 12, "dutzend": 12,
    "mille": 1000, "mil": 1000, "millones": 1e6,
}  # fmt: skip
SCALES: Final = {"k": 1e3, "m": 1e6, "mn": 1e6, "b": 1e9, "bn": 1e9}
_ORDINALS: Final = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"]  # fmt: skip
ORDINALS: Final = {word: value for value, word in enumerate(_ORDINALS, 1)}

_UNIT_SPELLINGS: Final = {
    "usd": "$ usd dollar dollars us$", "eur": "€ eur euro euros", "gbp": "£ gbp pound-sterling", "yen": "¥ jpy yen",
    "chf": "chf francs franken", "cent": "cent cents",
    "percent": "% percent prozent pct pourcent", "permille": "‰",
    "year": "year years yr yrs jahr jahre jahren an ans année années año años",
    "quarter": "quarter quarters quartal quartale",
    "month": "month months monat monate monaten mois mes meses",
    "week": "week weeks woche wochen semaine semaines semana semanas",
    "day": "day days tag tage tagen jour jours día días",
    "hour": "hour hours hr hrs h stunde stunden heure heures hora horas",
    "minute": "minute minutes min mins minuten minuto minutos",
    "second": "second seconds sec secs s sekunde sekunden seconde secondes segundo segundos",
    "millisecond": "ms millisecond milliseconds",
    "microsecond": "µs us microsecond microseconds",
    "km": "km kilometer kilometers kilometre kilometres", "m": "m meter meters metre metres", "cm": "cm centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres", "mile": "mile miles mi", "foot": "foot feet ft", "inch": "inch inches",
    "kg": "kg kilogram kilograms kilo kilos", "g": "g gram grams gramm", "mg": "mg milligram milligrams", "pound": "lb lbs pound pounds",
    "tonne": "t tonne tonnes", "l": "l liter liters litre litres", "ml": "ml milliliter milliliters millilitre millilitres",
    "byte": "byte bytes", "kb": "kb kilobyte kilobytes", "mb": "mb megabyte megabytes", "gb": "gb gigabyte gigabytes",
    "tb": "tb terabyte terabytes", "kib": "kib", "mib": "mib", "gib": "gib", "tib": "tib",
    "bit": "bit bits", "kbit": "kbps kbit", "mbit": "mbps mbit", "gbit": "gbps gbit",
    "celsius": "°c celsius", "fahrenheit": "°f fahrenheit", "degree": "° degree degrees grad", "kelvin": "°k kelvin",
    "hz": "hz hertz", "khz": "khz", "mhz": "mhz", "ghz": "ghz", "w": "w watt watts", "kw": "kw kilowatt kilowatts",
    "mw": "megawatt megawatts", "kwh": "kwh", "v": "v volt volts", "a": "amp amps ampere amperes", "ma": "ma", "mah": "mah",
    "bar": "bar", "psi": "psi", "pa": "pascal", "kpa": "kpa", "db": "db", "rpm": "rpm", "px": "px pixel pixels",
}  # fmt: skip
UNITS: Final = {
    spelling: unit for unit, spellings in _UNIT_SPELLINGS.items() for spelling in spellings.split()
}
SHORT_UNITS: Final = frozenset(
    ["km", "cm", "mm", "kg", "mg", "ml", "gb", "mb", "tb", "kb", "hz", "kw", "ms", "ft"]
)
# Units that may be glued to a number; "5G" and "3D" are names, not quantities.
ATTACHED_UNITS: Final = (
    *(
        spelling
        for word in UNITS
        if word.isascii() and word.isalpha() and len(word) <= 4 and word not in ("an", "ans", "mes", "us", "bar", "t", "cent")
        for spelling in sorted({word, word.upper()} if len(word) > 1 else {word})
    ),
    *["kW", "kWh", "mAh", "mA", "MHz", "GHz", "kHz", "Hz", "Mbps", "Gbps", "dB", "W", "V", "KiB", "MiB", "GiB", "kB"],
)  # fmt: skip
CURRENCY_CODES: Final = frozenset(["USD", "EUR", "GBP", "JPY", "CHF", "US"])
_MONTH_NAMES: Final = [
    "january jan januar janvier enero", "february feb februar février febrero", "march mar märz mars marzo", "april apr avril abril",
    "may mai mayo", "june jun juni juin junio", "july jul juli juillet julio", "august aug août agosto",
    "september sep sept septembre septiembre", "october oct oktober okt octobre octubre", "november nov novembre noviembre",
    "december dec dezember dez décembre diciembre",
]  # fmt: skip
MONTHS: Final = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
# "per month", "each month", "monthly": how often a number counts.
RATE_WORDS: Final = frozenset(["per", "each", "every", "pro", "par", "por", "a", "an"])
RATE_ADVERBS: Final = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter",
    "yearly": "year", "annual": "year", "annually": "year", "täglich": "day", "wöchentlich": "week",
    "monatlich": "month", "jährlich": "year", "mensuel": "month", "annuel": "year", "mensual": "month", "anual": "year",
}  # fmt: skip
BOUNDS_BEFORE: Final[list[tuple[re.Pattern[str], Direction]]] = [
    (re.compile(r"(?:at most|up to|no more than|not more than|no later than|not later than|maximum(?: of)?|max\.?|not exceed|no longer than|within|less than|fewer than|under|below|höchstens|maximal|bis zu|nicht mehr als|weniger als|unter|au plus|jusqu'à|moins de|como máximo|hasta|menos de)\s*(?:[a-z]{1,4}\s+)?[$€£¥]?\s*$"), "most"),
    (re.compile(r"(?:at least|no less than|no fewer than|not less than|not fewer than|minimum(?: of)?|min\.?|more than|(?<!carry )(?<!carried )(?<!carries )(?<!carrying )(?<!roll )(?<!rolled )(?<!hand )(?<!left )over|above|exceeds?|exceeding|greater than|longer than|mindestens|minimal|mehr als|über|au moins|plus de|al menos|más de)\s*(?:[a-z]{1,4}\s+)?[$€£¥]?\s*$"), "least"),
]  # fmt: skip
BOUNDS_AFTER: Final[list[tuple[re.Pattern[str], Direction]]] = [
    (re.compile(r"\s*(?:\w+\s+)?(?:at most|or (?:less|fewer|under|below)|maximum|max\b)"), "most"),
    (re.compile(r"\s*(?:\w+\s+)?(?:at least|or (?:more|above|over|longer|greater)|minimum|min\b|\+)"), "least"),
]  # fmt: skip
