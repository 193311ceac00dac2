"""Word lists behind ``rag.terms``: stop words, units, number words, negations, opposites.

Closed classes only (function words, units, months …); nothing here knows a topic.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Language: TypeAlias = Literal["english", "german", "french", "spanish"]
"""Snowball's names."""
Direction: TypeAlias = Literal["", "most", "least"]
"""What a number bounds: "up to 5" bounds from above, "at least 5" from below."""

LANGUAGE_MARKS: Final[dict[Language, frozenset[str]]] = {
    "english": frozenset(["the", "of", "and", "to", "is", "are", "in", "that", "for", "with", "you", "it", "be", "can", "by", "this", "on", "how", "what", "when", "does", "do", "who", "which", "or", "not", "as", "at", "from"]),
    "german": frozenset(["der", "die", "das", "und", "ist", "sind", "ein", "eine", "einen", "einem", "einer", "nicht", "mit", "von", "für", "auf", "den", "dem", "des", "wird", "werden", "sich", "wie", "was", "wann", "wer", "kann", "können", "bei", "nach", "zu", "zum", "zur", "im", "oder", "auch", "es", "sie", "pro"]),
    "french": frozenset(["le", "la", "les", "des", "est", "sont", "une", "un", "et", "du", "de", "dans", "pour", "que", "qui", "avec", "sur", "pas", "ne", "au", "aux", "ce", "cette", "par", "il", "elle", "vous", "nous", "ou", "quand", "combien"]),
    "spanish": frozenset(["el", "la", "los", "las", "es", "son", "una", "un", "y", "de", "del", "en", "para", "que", "con", "por", "no", "se", "su", "al", "como", "más", "cuando", "cuántos", "puede", "o", "este", "esta"]),
}  # fmt: skip

STOP_WORDS: Final[dict[Language, frozenset[str]]] = {
    "english": frozenset(
        ["a", "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "anyone", "anything", "are", "as", "at", "be", "became", "because", "become", "becomes", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "done", "down", "during", "each", "either", "else", "ever", "every", "few", "for", "from", "further", "get", "gets", "getting", "given", "gives", "go", "goes", "got", "had", "has", "have", "having", "he", "her", "here", "hers", "herself", "him", "himself", "his", "how", "however", "i", "if", "in", "into", "is", "it", "its", "itself", "just", "let", "like", "made", "make", "makes", "many", "may", "me", "might", "more", "most", "much", "must", "my", "myself", "neither", "nor", "now", "of", "off", "often", "on", "once", "only", "onto", "or", "other", "others", "our", "ours", "ourselves", "out", "over", "own", "per", "please", "rather", "same", "shall", "she", "should", "since", "so", "some", "such", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "therefore", "these", "they", "thing", "things", "this", "those", "though", "through", "thus", "to", "too", "toward", "towards", "under", "until", "up", "upon", "us", "use", "used", "using", "very", "via", "was", "we", "were", "what", "whatever", "when", "where", "whereas", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "within", "would", "yes", "yet", "you", "your", "yours", "yourself", "yourselves", "able", "already", "always", "another", "around", "away", "let's", "etc", "eg", "ie", "according", "based", "called", "actually", "really", "simply"]
    ),
    "german": frozenset(
        ["aber", "alle", "allem", "allen", "aller", "alles", "als", "also", "am", "an", "andere", "anderen", "auch", "auf", "aus", "bei", "beim", "bin", "bis", "bist", "da", "dabei", "dadurch", "dafür", "dagegen", "daher", "damit", "dann", "daran", "darauf", "daraus", "darf", "das", "dass", "davon", "dazu", "dein", "deine", "dem", "den", "denn", "der", "deren", "des", "dessen", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses", "doch", "dort", "du", "durch", "dürfen", "ein", "eine", "einem", "einen", "einer", "eines", "einige", "er", "es", "etwa", "etwas", "euch", "euer", "für", "gegen", "gibt", "hab", "habe", "haben", "hat", "hatte", "hatten", "hier", "hin", "hinter", "ich", "ihm", "ihn", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "im", "in", "indem", "ins", "ist", "ja", "jede", "jedem", "jeden", "jeder", "jedes", "jetzt", "kann", "können", "könnte", "man", "mehr", "mein", "mich", "mir", "mit", "muss", "müssen", "nach", "neben", "noch", "nun", "nur", "ob", "oder", "ohne", "sehr", "sein", "seine", "seinem", "seinen", "seiner", "seit", "sich", "sie", "sind", "so", "sobald", "soll", "sollen", "sollte", "sondern", "sonst", "über", "um", "und", "uns", "unser", "unter", "viel", "viele", "vom", "von", "vor", "wann", "war", "waren", "warum", "was", "weil", "welche", "welchem", "welchen", "welcher", "welches", "wem", "wen", "wenn", "wer", "werde", "werden", "wie", "wieder", "will", "wir", "wird", "wo", "wurde", "wurden", "zu", "zum", "zur", "zwar", "zwischen", "pro", "je"]
    ),
    "french": frozenset(
        ["à", "afin", "ai", "alors", "après", "au", "aucun", "aussi", "autre", "aux", "avant", "avec", "avez", "avoir", "ce", "cela", "ces", "cet", "cette", "ceux", "chaque", "chez", "ci", "comme", "comment", "dans", "de", "des", "du", "depuis", "donc", "dont", "elle", "elles", "en", "entre", "es", "est", "et", "été", "être", "eu", "eux", "faire", "fait", "il", "ils", "je", "jusqu", "la", "le", "les", "leur", "leurs", "lors", "lui", "ma", "mais", "me", "même", "mes", "moi", "mon", "ni", "nos", "notre", "nous", "on", "ont", "ou", "où", "par", "pas", "pendant", "peut", "peuvent", "plus", "pour", "pourquoi", "qu", "quand", "que", "quel", "quelle", "quelles", "quels", "qui", "sa", "sans", "se", "sera", "ses", "si", "son", "sont", "sous", "sur", "ta", "te", "tes", "toi", "ton", "tous", "tout", "toute", "toutes", "très", "tu", "un", "une", "vos", "votre", "vous", "y", "combien"]
    ),
    "spanish": frozenset(
        ["a", "al", "algo", "algunos", "ante", "antes", "aquel", "aquí", "así", "aún", "bajo", "bien", "cada", "como", "con", "contra", "cual", "cuando", "cuánto", "cuántos", "cuántas", "de", "del", "desde", "donde", "dos", "durante", "e", "el", "ella", "ellas", "ellos", "en", "entre", "era", "es", "esa", "ese", "eso", "esta", "está", "están", "estas", "este", "esto", "estos", "fue", "ha", "han", "hasta", "hay", "la", "las", "le", "les", "lo", "los", "más", "me", "mi", "mientras", "muy", "nos", "nosotros", "o", "otra", "otro", "para", "pero", "por", "porque", "puede", "pueden", "qué", "que", "quien", "se", "ser", "si", "sí", "sin", "sobre", "son", "su", "sus", "también", "tan", "te", "tiene", "tienen", "todo", "todos", "tu", "un", "una", "uno", "unos", "usted", "ustedes", "y", "ya", "yo"]
    ),
}  # fmt: skip

# Words so common in instructions and policies that one missing word of them says little.
LIGHT_WORDS: Final = frozenset(
    ["allow", "also", "apply", "available", "call", "choose", "contain", "different", "follow", "following", "general", "happen", "help", "include", "includes", "including", "involve", "keep", "know", "mean", "need", "new", "note", "number", "offer", "one", "open", "order", "part", "people", "possible", "provide", "provided", "provides", "receive", "relate", "require", "say", "see", "set", "several", "show", "specific", "state", "take", "tell", "time", "various", "want", "way", "work", "currently", "typically", "usually", "generally", "additionally", "furthermore", "moreover", "specifically", "respectively", "automatically", "employee", "user", "customer", "person", "company", "document", "information", "question", "answer", "source", "case"]
)  # fmt: skip

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
ORDINALS: Final = {
    word: value
    for value, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        1,
    )
}

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

NEGATIONS: Final = frozenset(
    [
        "not",
        "no",
        "never",
        "none",
        "nobody",
        "nothing",
        "neither",
        "nor",
        "without",
        "hardly",
        "cannot",
        "nowhere",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "keinem",
        "keiner",
        "keines",
        "nie",
        "niemals",
        "ohne",
        "weder",
        "pas",
        "aucun",
        "aucune",
        "jamais",
        "sans",
        "nunca",
        "sin",
        "ningún",
        "ninguna",
    ]
)
# "no" is Spanish too; ne/ni are too short to be told from other words.
NOT_A_DENIAL: Final = re.compile(
    r"(?:not only|not just|not (?:more|less|fewer|later|earlier) than|no (?:more|less|fewer|later|earlier) than"
    r"|not exceed|no\.? ?\d|no longer than|nicht nur|nicht mehr als|nicht weniger als|no matter|nothing but|without doubt)"
)
NOT_A_DENIAL_BEFORE: Final = re.compile(
    r"\b(?:whether or|if|or|must|may|shall|should|can)\s+$(?<=whether or )"
)
NEGATIVE_WORDS: Final = {
    "prohibited": "permitted", "forbidden": "permitted", "banned": "permitted", "disallowed": "allowed",
    "verboten": "erlaubt", "untersagt": "erlaubt", "interdit": "autorisé", "prohibido": "permitido",
    "unable": "able", "lacks": "has", "impossible": "possible",
}  # fmt: skip
DENIABLE: Final = frozenset(
    [
        "able",
        "acceptable",
        "accessible",
        "active",
        "allowed",
        "approved",
        "authorised",
        "authorized",
        "available",
        "changed",
        "charged",
        "certain",
        "compatible",
        "complete",
        "confirmed",
        "connected",
        "correct",
        "covered",
        "defined",
        "eligible",
        "encrypted",
        "enabled",
        "expected",
        "finished",
        "insured",
        "known",
        "likely",
        "limited",
        "licensed",
        "locked",
        "mandatory",
        "necessary",
        "negotiable",
        "opened",
        "paid",
        "permitted",
        "possible",
        "protected",
        "qualified",
        "refundable",
        "registered",
        "reliable",
        "required",
        "safe",
        "secure",
        "signed",
        "stable",
        "successful",
        "sufficient",
        "supported",
        "sure",
        "taxable",
        "tested",
        "transferable",
        "used",
        "usual",
        "valid",
        "verified",
        "visible",
        "wanted",
        "working",
    ]
)

# "per month", "each month", "monthly": how often a number counts.
RATE_WORDS: Final = frozenset(["per", "each", "every", "pro", "par", "por", "a", "an"])
RATE_ADVERBS: Final = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter",
    "yearly": "year", "annual": "year", "annually": "year", "täglich": "day", "wöchentlich": "week",
    "monatlich": "month", "jährlich": "year", "mensuel": "month", "annuel": "year", "mensual": "month", "anual": "year",
}  # fmt: skip

# Clauses end at punctuation, and before these words.
CLAUSE_WORDS: Final = frozenset(
    [
        "and",
        "but",
        "while",
        "whereas",
        "although",
        "though",
        "because",
        "which",
        "who",
        "unless",
        "except",
        "however",
        "und",
        "aber",
        "während",
        "obwohl",
        "weil",
        "sondern",
        "et",
        "mais",
        "tandis",
        "y",
        "pero",
        "mientras",
    ]
)

BOUNDS_BEFORE: Final[list[tuple[re.Pattern[str], Direction]]] = [
    (re.compile(r"(?:at most|up to|no more than|not more than|no later than|not later than|maximum(?: of)?|max\.?|not exceed|no longer than|within|less than|fewer than|under|below|höchstens|maximal|bis zu|nicht mehr als|weniger als|unter|au plus|jusqu'à|moins de|como máximo|hasta|menos de)\s*(?:[a-z]{1,4}\s+)?[$€£¥]?\s*$"), "most"),
    (re.compile(r"(?:at least|no less than|no fewer than|not less than|not fewer than|minimum(?: of)?|min\.?|more than|(?<!carry )(?<!carried )(?<!carries )(?<!carrying )(?<!roll )(?<!rolled )(?<!hand )(?<!left )over|above|exceeds?|exceeding|greater than|longer than|mindestens|minimal|mehr als|über|au moins|plus de|al menos|más de)\s*(?:[a-z]{1,4}\s+)?[$€£¥]?\s*$"), "least"),
]  # fmt: skip
BOUNDS_AFTER: Final[list[tuple[re.Pattern[str], Direction]]] = [
    (re.compile(r"\s*(?:\w+\s+)?(?:at most|or (?:less|fewer|under|below)|maximum|max\b)"), "most"),
    (re.compile(r"\s*(?:\w+\s+)?(?:at least|or (?:more|above|over|longer|greater)|minimum|min\b|\+)"), "least"),
]  # fmt: skip

# A claim that has one of a pair where its source has only the other contradicts it.
_OPPOSITES: Final = [
    "before/after",
    "until/after",
    "above/below",
    "over/under",
    "increase/decrease",
    "increased/decreased",
    "increases/decreases",
    "rise/fall",
    "rises/falls",
    "rose/fell",
    "higher/lower",
    "highest/lowest",
    "more/less",
    "more/fewer",
    "most/least",
    "larger/smaller",
    "largest/smallest",
    "longer/shorter",
    "longest/shortest",
    "faster/slower",
    "fastest/slowest",
    "earlier/later",
    "earliest/latest",
    "older/newer",
    "oldest/newest",
    "maximum/minimum",
    "always/never",
    "all/some",
    "every/some",
    "always/sometimes",
    "allow/prohibit",
    "allowed/prohibited",
    "allowed/forbidden",
    "permitted/prohibited",
    "permitted/forbidden",
    "enable/disable",
    "enabled/disabled",
    "enables/disables",
    "include/exclude",
    "included/excluded",
    "includes/excludes",
    "accept/reject",
    "accepted/rejected",
    "accepts/rejects",
    "approve/reject",
    "approved/rejected",
    "approved/denied",
    "grant/deny",
    "granted/denied",
    "required/optional",
    "mandatory/optional",
    "mandatory/voluntary",
    "must/may",
    "must/can",
    "internal/external",
    "public/private",
    "buy/sell",
    "open/close",
    "opens/closes",
    "opened/closed",
    "start/stop",
    "starts/stops",
    "start/end",
    "starts/ends",
    "begins/ends",
    "began/ended",
    "morning/afternoon",
    "morning/evening",
    "weekdays/weekends",
    "daily/weekly",
    "daily/monthly",
    "weekly/monthly",
    "monthly/yearly",
    "monthly/annually",
    "monthly/annual",
    "weekly/annually",
    "quarterly/annually",
    "quarterly/monthly",
    "quarterly/weekly",
    "hourly/daily",
    "left/right",
    "north/south",
    "east/west",
    "inside/outside",
    "on/off",
    "input/output",
    "upload/download",
    "win/lose",
    "won/lost",
    "win/loss",
    "profit/loss",
    "free/paid",
    "cheaper/dearer",
    "full/empty",
    "full/partial",
    "full-time/part-time",
    "automatic/manual",
    "automatically/manually",
    "temporary/permanent",
    "temporarily/permanently",
    "domestic/international",
    "weak/strong",
    "hot/cold",
    "wet/dry",
    "safe/dangerous",
    "true/false",
    "positive/negative",
    "pass/fail",
    "passes/fails",
    "success/failure",
    "vor/nach",
    "vorher/nachher",
    "mehr/weniger",
    "höher/niedriger",
    "größer/kleiner",
    "immer/nie",
    "öffnen/schließen",
    "erhöht/gesenkt",
    "steigt/sinkt",
    "alle/einige",
    "muss/kann",
    "müssen/können",
    "avant/après",
    "plus/moins",
    "antes/después",
    "más/menos",
    "credit/debit",
    "employer/employee",
    "buyer/seller",
    "landlord/tenant",
    "sender/recipient",
    "lender/borrower",
]
OPPOSITES: Final[dict[str, frozenset[str]]] = {}
for _pair in _OPPOSITES:
    _left, _right = _pair.split("/")
    OPPOSITES[_left] = OPPOSITES.get(_left, frozenset()) | {_right}
    OPPOSITES[_right] = OPPOSITES.get(_right, frozenset()) | {_left}
# These read one way only: "may" for a source's "must" loses something, "must" for its "may" invents it.
for _soft, _hard in (("may", "must"), ("can", "must"), ("können", "müssen"), ("kann", "muss"), ("some", "all"), ("some", "every"), ("einige", "alle"), ("sometimes", "always")):  # fmt: skip
    OPPOSITES[_soft] = OPPOSITES[_soft] - {_hard}

# Words that only talk about the answer itself.
DISCOURSE: Final = frozenset(
    [
        "answer",
        "answers",
        "asked",
        "below",
        "based",
        "certainly",
        "contain",
        "contains",
        "context",
        "course",
        "detail",
        "details",
        "document",
        "documents",
        "documentation",
        "find",
        "following",
        "follow",
        "follows",
        "found",
        "great",
        "happy",
        "hello",
        "help",
        "helps",
        "here",
        "hi",
        "hope",
        "inform",
        "information",
        "know",
        "let",
        "mention",
        "mentioned",
        "mentions",
        "note",
        "ok",
        "okay",
        "passage",
        "passages",
        "please",
        "provide",
        "provided",
        "provides",
        "question",
        "questions",
        "read",
        "reference",
        "relevant",
        "response",
        "say",
        "says",
        "see",
        "snippet",
        "sorry",
        "source",
        "sources",
        "state",
        "stated",
        "states",
        "summarise",
        "summarize",
        "summary",
        "sure",
        "tell",
        "text",
        "thank",
        "thanks",
        "yes",
        "answered",
        "according",
        "above",
        "list",
        "listed",
        "regarding",
        "think",
        "additional",
        "assist",
        "assistance",
        "ask",
        "free",
        "feel",
        "need",
        "welcome",
        "glad",
    ]
)
