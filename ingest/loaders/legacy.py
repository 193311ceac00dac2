"""Which legacy encoding a short text is in, where statistics over long texts guess wildly.

For every candidate of one byte a letter the text is decoded, and its letters outside ASCII are weighed: those that a language of that
encoding uses often speak for it, signs inside of words and capitals after small letters against it.
"""

from __future__ import annotations

_WESTERN = "äöüßéèàçêâîôûïëñóíáúãõåøæìòùÄÖÜÉœìýþðÀÅØÆÇÑÁÍÓÚ"
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäßâăîșțşţđŁŚŻŠČŽŘÁÉÓĄŹĆŐÚÍ"
_TURKISH = "ığşçöüİŞÇÖÜâîĞ"
_CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёіїєґў"
_GREEK = "αοιετσνηυρπκμλωςγδχθφβξζψάέήίόύώ"
_HEBREW = "יוהלאתרשמבנחעדקפסגצטזכםןךףץ"
_CANDIDATES = (
    ("cp1254", _TURKISH),
    ("cp1252", _WESTERN),
    ("cp1250", _CENTRAL),
    ("iso-8859-2", _CENTRAL),
    ("cp1251", _CYRILLIC),
    ("koi8-r", _CYRILLIC),
    ("cp1253", _GREEK),
    ("cp1255", _HEBREW),
    ("cp850", _WESTERN),
    ("mac_roman", _WESTERN),
    ("cp866", _CYRILLIC),
)
# Scripts of their own: half of what is written are these few letters.
_FREQUENT = {_CYRILLIC: 10, _GREEK: 12, _HEBREW: 10}
_SIGNS = "“”‘’„‚…–—€§°«»·•©®™½¼¾²³±×µ¡¿№£\xa0"
_INSIDE_WORDS = "’‘·–—"
_GOOD_ENOUGH = 0.85
# First bytes of the pairs that are in daily use, and the lowest second byte of all pairs.
_PAIRS = (
    ("cp949", range(0xB0, 0xC9), 0xA1),
    ("gb18030", range(0xB0, 0xD8), 0x40),
    ("big5", range(0xA4, 0xC7), 0x40),
)
_ENOUGH_PAIRS = 0.9
_SAMPLE_BYTES = 20_000


def legacy_encoding(data: bytes) -> str | None:
    """The name of the encoding that fits well, or None."""
    sample = data[:_SAMPLE_BYTES]
    scores = {name: _score(sample, name, letters) for name, letters in _CANDIDATES}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= _GOOD_ENOUGH:
        return best
    return next((name for name, first, second in _PAIRS if _in_pairs(sample, name, first, second)), None)


def _in_pairs(sample: bytes, encoding: str, first: range, second: int) -> bool:
    """Whether what is not ASCII is pairs, nearly all of them of the common characters."""
    try:
        sample.decode(encoding)
    except UnicodeDecodeError as exc:
        if exc.start < len(sample) - 2 or len(sample) < _SAMPLE_BYTES:
            return False
    common = rare = at = 0
    while at < len(sample) - 1:
        if sample[at] < 0x80:
            at += 1
            continue
        if sample[at + 1] >= second and sample[at] in first:
            common += 1
        elif not 0xA1 <= sample[at] <= 0xA3:  # punctuation
            rare += 1
        at += 2
    return common >= _ENOUGH_PAIRS * (common + rare) and common > 0


def _score(sample: bytes, encoding: str, letters: str) -> float:
    """At most about 1."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    n_high = n_letters = n_frequent = n_ascii = bad = 0
    own_script = letters in _FREQUENT
    frequent = letters[: _FREQUENT[letters]] if own_script else letters
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if ord(char) < 128:
            n_ascii += char.isalpha()
            continue
        n_high += 1
        lowered = char.lower()
        if lowered in letters or char in letters:
            n_letters += 1
            n_frequent += lowered in frequent
            bad += char.isupper() and before.islower()
            # Words do not mix scripts.
            bad += own_script and before.isascii() and before.isalpha()
        elif char not in _SIGNS or (before.isalpha() and after.isalpha() and char not in _INSIDE_WORDS):
            bad += 1
    if not n_high:
        return 0.0
    plausible = 1 - 2 * bad / n_high
    if own_script:
        return plausible * min(1.0, 0.55 + 0.75 * n_frequent / max(1, n_letters))
    # Latin letters with marks stand among plain ones.
    return plausible if n_letters <= n_ascii else plausible / 2
