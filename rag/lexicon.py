"""Word lists: what languages are told by, stop words, negations, opposites. Closed classes only (function words,
common instructions); nothing here knows a topic. Numbers and units are in ``rag/measures.py``.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Language: TypeAlias = Literal["english", "german", "french", "spanish"]
"""Snowball's names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGE_MARKS: Final[dict[Language, frozenset[str]]] = {
    "english": _words(
        """
        the of and to is are in that for with you it be can by this on how what when does do who which or not
        as at from
        """
    ),
    "german": _words(
        """
        der die das und ist sind ein eine einen einem einer nicht mit von für auf den dem des wird werden sich
        wie was wann wer kann können bei nach zu zum zur im oder auch es sie pro
        """
    ),
    "french": _words(
        """
        le la les des est sont une un et du de dans pour que qui avec sur pas ne au aux ce cette par il elle
        vous nous ou quand combien
        """
    ),
    "spanish": _words(
        """
        el la los las es son una un y de del en para que con por no se su al como más cuando cuántos puede o
        este esta
        """
    ),
}

STOP_WORDS: Final[dict[Language, frozenset[str]]] = {
    "english": _words(
        """
        a about above after again against all also am an and any anyone anything are as at be became because
        become becomes been before being below between both but by can could did do does doing done down
        during each either else ever every few for from further get gets getting given gives go goes got had
        has have having he her here hers herself him himself his how however i if in into is it its itself
        just let like made make makes many may me might more most much must my myself neither nor now of off
        often on once only onto or other others our ours ourselves out over own per please rather same shall
        she should since so some such than that the their theirs them themselves then there therefore these
        they thing things this those though through thus to too toward towards under until up upon us use used
        using very via was we were what whatever when where whereas whether which while who whom whose why
        will with within would yes yet you your yours yourself yourselves able already always another around
        away let's etc eg ie according based called actually really simply
        """
    ),
    "german": _words(
        """
        aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da
        dabei dadurch dafür dagegen daher damit dann daran darauf daraus darf das dass davon dazu dein deine
        dem den denn der deren des dessen die dies diese diesem diesen dieser dieses doch dort du durch dürfen
        ein eine einem einen einer eines einige er es etwa etwas euch euer für gegen gibt hab habe haben hat
        hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in indem ins ist ja jede
        jedem jeden jeder jedes jetzt kann können könnte man mehr mein mich mir mit muss müssen nach neben
        noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so sobald soll
        sollen sollte sondern sonst über um und uns unser unter viel viele vom von vor wann war waren warum
        was weil welche welchem welchen welcher welches wem wen wenn wer werde werden wie wieder will wir wird
        wo wurde wurden zu zum zur zwar zwischen pro je
        """
    ),
    "french": _words(
        """
        à afin ai alors après au aucun aussi autre aux avant avec avez avoir ce cela ces cet cette ceux chaque
        chez ci comme comment dans de des du depuis donc dont elle elles en entre es est et été être eu eux
        faire fait il ils je jusqu la le les leur leurs lors lui ma mais me même mes moi mon ni nos notre nous
        on ont ou où par pas pendant peut peuvent plus pour pourquoi qu quand que quel quelle quelles quels
        qui sa sans se sera ses si son sont sous sur ta te tes toi ton tous tout toute toutes très tu un une
        vos votre vous y combien
        """
    ),
    "spanish": _words(
        """
        a al algo algunos ante antes aquel aquí así aún bajo bien cada como con contra cual cuando cuánto
        cuántos cuántas de del desde donde dos durante e el ella ellas ellos en entre era es esa ese eso esta
        está están estas este esto estos fue ha han hasta hay la las le les lo los más me mi mientras muy nos
        nosotros o otra otro para pero por porque puede pueden qué que quien se ser si sí sin sobre son su sus
        también tan te tiene tienen todo todos tu un una uno unos usted ustedes y ya yo
        """
    ),
}

# Words so common in instructions and policies that one missing word of them says little.
LIGHT_WORDS: Final = _words(
    """
    allow also apply available call choose contain different follow following general happen help include
    includes including involve keep know mean need new note number offer one open order part people possible
    provide provided provides receive relate require say see set several show specific state take tell time
    various want way work currently typically usually generally additionally furthermore moreover specifically
    respectively automatically employee user customer person company document information question answer
    source case
    """
)
NEGATIONS: Final = _words(
    """
    not no never none nobody nothing neither nor without hardly cannot nowhere nicht kein keine keinen keinem
    keiner keines nie niemals ohne weder pas aucun aucune jamais sans nunca sin ningún ninguna
    """
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
DENIABLE: Final = _words(
    """
    able acceptable accessible active allowed approved authorised authorized available changed charged certain
    compatible complete confirmed connected correct covered defined eligible encrypted enabled expected
    finished insured known likely limited licensed locked mandatory necessary negotiable opened paid permitted
    possible protected qualified refundable registered reliable required safe secure signed stable successful
    sufficient supported sure taxable tested transferable used usual valid verified visible wanted working
    """
)

# Clauses end at punctuation, and before these words.
CLAUSE_WORDS: Final = _words(
    """
    and but while whereas although though because which who unless except however und aber während obwohl weil
    sondern et mais tandis y pero mientras
    """
)

# A claim that has one of a pair where its source has only the other contradicts it.
_OPPOSITES: Final = _words(
    """
    before/after until/after above/below over/under increase/decrease increased/decreased increases/decreases
    rise/fall rises/falls rose/fell higher/lower highest/lowest more/less more/fewer most/least larger/smaller
    largest/smallest longer/shorter longest/shortest faster/slower fastest/slowest earlier/later
    earliest/latest older/newer oldest/newest maximum/minimum always/never all/some every/some
    always/sometimes allow/prohibit allowed/prohibited allowed/forbidden permitted/prohibited
    permitted/forbidden enable/disable enabled/disabled enables/disables include/exclude included/excluded
    includes/excludes accept/reject accepted/rejected accepts/rejects approve/reject approved/rejected
    approved/denied grant/deny granted/denied required/optional mandatory/optional mandatory/voluntary
    must/may must/can internal/external public/private buy/sell open/close opens/closes opened/closed
    start/stop starts/stops start/end starts/ends begins/ends began/ended morning/afternoon morning/evening
    weekdays/weekends daily/weekly daily/monthly weekly/monthly monthly/yearly monthly/annually monthly/annual
    weekly/annually quarterly/annually quarterly/monthly quarterly/weekly hourly/daily left/right north/south
    east/west inside/outside on/off input/output upload/download win/lose won/lost win/loss profit/loss
    free/paid cheaper/dearer full/empty full/partial full-time/part-time automatic/manual
    automatically/manually temporary/permanent temporarily/permanently domestic/international weak/strong
    hot/cold wet/dry safe/dangerous true/false positive/negative pass/fail passes/fails success/failure
    vor/nach vorher/nachher mehr/weniger höher/niedriger größer/kleiner immer/nie öffnen/schließen
    erhöht/gesenkt steigt/sinkt alle/einige muss/kann müssen/können avant/après plus/moins antes/después
    más/menos credit/debit employer/employee buyer/seller landlord/tenant sender/recipient lender/borrower
    """
)
OPPOSITES: Final[dict[str, frozenset[str]]] = {}
for _pair in _OPPOSITES:
    _left, _right = _pair.split("/")
    OPPOSITES[_left] = OPPOSITES.get(_left, frozenset()) | {_right}
    OPPOSITES[_right] = OPPOSITES.get(_right, frozenset()) | {_left}
# These read one way only: "may" for a source's "must" loses something, "must" for its "may" invents it.
for _soft, _hard in (("may", "must"), ("can", "must"), ("können", "müssen"), ("kann", "muss"), ("some", "all"), ("some", "every"), ("einige", "alle"), ("sometimes", "always")):  # fmt: skip
    OPPOSITES[_soft] = OPPOSITES[_soft] - {_hard}

# Words that only talk about the answer itself.
DISCOURSE: Final = _words(
    """
    answer answers asked below based certainly contain contains context course detail details document
    documents documentation find following follow follows found great happy hello help helps here hi hope
    inform information know let mention mentioned mentions note ok okay passage passages please provide
    provided provides question questions read reference relevant response say says see snippet sorry source
    sources state stated states summarise summarize summary sure tell text thank thanks yes answered according
    above list listed regarding think additional assist assistance ask free feel need welcome glad
    """
)
