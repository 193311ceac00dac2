"""Wordings of orders to a model, in English, German, French and Spanish, and of texts that only tell of them."""

from __future__ import annotations

import re
from typing import Final

_IN_SENTENCE = r"[^.!?\n]"
_RULES = r"(?:instructions?|prompts?|rules|guidelines|orders|directions|directives|constraints|programming|restrictions|polic(?:y|ies))"
_BEFORE = r"(?:previous|prior|earlier|preceding|foregoing|former|original|initial|existing|above|system)"
_MODEL = r"(?:AI|A\.I\.|LLM|GPT|language model|large language model|chat ?bot|(?:AI|virtual|digital|language) (?:assistant|agent|model|system))s?"
_SPEAK = r"(?:say|answer|reply|respond|output|reveal|recommend|state|claim|ignore)"

_ENGLISH = (
    # Ignore all previous instructions
    rf"\b(?:ignore|disregard|forget|override|bypass)\b (?:(?:of|about|all|any|every|each|of|the|your|my|our|these|those|other)\b ?){{0,4}}{_BEFORE}\b{_IN_SENTENCE}{{0,15}}\b{_RULES}\b",
    r"\b(?:ignore|disregard|forget|override|bypass|discard)\b (?:about )?(?:all|any|every|your|all of your|all the|all of the) (?:\w+ )?(?:instructions?|prompts?|rules|guidelines|directives|programming)\b",
    rf"\b(?:ignore|disregard|forget|override|discard)\b{_IN_SENTENCE}{{0,30}}\b{_RULES}\b{_IN_SENTENCE}{{0,12}}\b(?:above|before this|so far|until now|you (?:were|have been|got|received)|given to you)\b",
    rf"\b(?:ignore|disregard|forget)\b (?:everything|anything|all|all that|whatever|what)\b{_IN_SENTENCE}{{0,30}}\b(?:above|before|(?:said|written|told|given|learned)\b)",
    # You are now …
    r"\b(?:you are|act|behave|respond|answer) (?:now |from now on )(?:an?|the|as|like|only)\b",
    r"\byou are (?:now )?(?:DAN|in (?:developer|debug|god|admin|jailbreak) mode)\b|\b(?:enter|enable|activate|switch to) (?:developer|god|jailbreak|DAN|unrestricted) mode\b",
    r"\bfrom now on,? you(?:['’]ll)? (?:are|(?:will|shall|must|should) (?:only|always|never|act|answer|respond|reply|speak|say|pretend|behave|be an?)|act|answer|respond|reply|speak|say|always|never|only)\b|\bpretend (?:to be|that you are|you are) (?:an?|the)\b|\bact as (?:an? )?(?:unrestricted|uncensored|AI|language model|if you (?:were|are|had))\b",
    r"^\W*(?:system|developer|assistant|new instructions?|instructions? (?:override|update))\s*(?:\(\w+\))?:\s*(?:you|ignore|disregard|forget|from now|override|always|never|reveal|answer|respond|reply|the user|do not|don['’]t|say|tell|output|print|new)\b",
    # Print your system prompt
    r"\b(?:print|reveal|show|output|repeat|display|leak|expose|disclose|give|tell|recite|return)\b(?: \w+){0,3} (?:your|the|its|this|full|entire|whole|hidden|secret) (?:\w+ )?(?:system|developer|hidden|initial|original|secret) (?:prompt|instructions?|message)s?\b",
    # Tell every reader that …
    rf"\b(?:tell|inform|assure|convince) (?:the|every|each|any|all) (?:readers?|users?|customers? who asks?|askers?|humans?)\b{_IN_SENTENCE}{{0,20}}\b(?:that|to)\b",
    # Any assistant that reads this must …
    rf"\b{_MODEL}\b{_IN_SENTENCE}{{0,30}}\b(?:must|should|shall|have to|has to|will|needs? to) (?:now |always |only |never |not |immediately |instead )?{_SPEAK}\b",
    r"\bassistants?\b[^.!?\n]{0,30}\b(?:must|should|shall|have to|has to) (?:now |always |only |never )?(?:say|answer|reply|respond|output|reveal|recommend|state)\b",
    rf"\bif you(?: are|['’]re) (?:an? )?(?:{_MODEL}|bot|machine|model)\b|\b(?:note|attention|message|instructions?|notice|hint|reminder|important)\b{_IN_SENTENCE}{{0,12}}\b(?:to|for) (?:the |any |all |every )?(?:{_MODEL}|models?|bots?|AI \w+)(?:[:,!–-]| (?:reading|processing|summari[sz]ing|parsing))",
    rf"\b(?:{_MODEL}|models?|bots?)\b (?:that (?:is |are )?|who (?:is |are )?)?(?:reads?|reading|process(?:es|ing)?|pars(?:es|ing)|summari[sz](?:es|ing)) (?:this|these)\b",
    r"\b(?:do not|don['’]t|never) (?:mention|reveal|tell|show|cite|quote|disclose)\b[^.!?\n]{0,20}\b(?:this|these|those|that) (?:instructions?|notes?|comments?|passages?|sentences?|hidden \w+|orders?)\b",
    r"\b(?:decode|decrypt|unscramble)\b[^.!?\n]{0,40}\b(?:base ?64|rot13|hex)\b[^.!?\n]{0,40}\b(?:follow|obey|execute|run|do|comply|carry out)\b",
    r"\b(?:call|invoke|use|run|trigger) (?:the|your) [\w.-]{1,40} (?:tool|function|plugin)\b[^.!?\n]{0,60}\b(?:send|delete|transfer|email|e-mail|forward|upload|post|without (?:asking|confirm))\w*\b",
    r"\b(?:send|post|forward|upload|exfiltrate|append|transmit|leak)\b[^.!?\n]{0,30}\b(?:conversation|chat history|system prompt|previous messages|(?:user|customer)['’]s (?:question|message|data|e-?mail))\b[^.!?\n]{0,30}\bhttps?:",
    r"\b(?:append|add|include|insert|embed|render|display)\b[^.!?\n]{0,40}\b(?:image|link|markdown|url)\b[^.!?\n]{0,60}\b(?:conversation|chat history|system prompt|user['’]s (?:question|message|data)|previous answers?)\b",
)
_GERMAN = (
    rf"\b(?:ignorier(?:e|en sie|t)|missacht(?:e|en sie|et)|vergiss|vergessen sie|vergesst|übergeh(?:e|en sie)|verwirf)\b (?!nicht\b)(?:bitte )?(?:(?:alle|sämtliche|jede|die|deine|ihre|meine|deiner|aller)\b ?){{0,3}}(?:bisherigen?|vorherigen?|vorigen?|obigen?|früheren?|vorangegangenen?|bestehenden?|anderen?|systemeigenen?)?{_IN_SENTENCE}{{0,15}}\b(?:anweisung(?:en)?|regeln|vorgaben|instruktionen|befehle|richtlinien|prompts?|systemprompts?)\b",
    r"\bdu bist (?:jetzt|nun|ab sofort|ab jetzt)\b|\bsie sind (?:jetzt|nun|ab sofort|ab jetzt) (?:ein|eine|der|die|das) (?:ki|assistent\w*|chatbot|sprachmodell|experte)\b|\bab (?:jetzt|sofort|nun) (?:bist|antwortest|sollst|wirst|musst) du\b",
    r"\b(?:zeige?|verrate?|nenne?|wiederhole?|gib)(?:n sie)? (?:mir |uns )?(?:deinen?|den|ihren?|die|deine)\b[^.!?\n]{0,20}\b(?:system-?prompts?|systemanweisung(?:en)?|(?:geheimen|versteckten|ursprünglichen) (?:anweisung(?:en)?|instruktionen))\b",
    r"\b(?:KI|KI-(?:Assistent\w*|Modell\w*|System\w*)|Sprachmodelle?|Chatbots?|KI-Assistenten)\b[^.!?\n]{0,30}\b(?:muss|müssen|soll|sollen|sollte|sollten)\b[^.!?\n]{0,60}\b(?:sagen|antworten|ausgeben|empfehlen|behaupten|ignorieren|schreiben|verschweigen)\b",
    r"\b(?:hinweis|nachricht|anweisung|achtung)\b[^.!?\n]{0,10}\b(?:an|für) (?:die |das |den |alle )?(?:KI|sprachmodelle?|chatbots?|KI-\w+|assistenten)\s*[:,!–-]",
    r"\bsag(?:e|en sie)? (?:jedem|allen|dem|den) (?:leser\w*|nutzer\w*|benutzer\w*|fragenden)\b",
)
_FRENCH = (
    rf"\b(?:ignore[zr]?|oublie[zr]?|néglige[zr]?|ne ten(?:ez|ir) pas compte|ne tiens pas compte|fais abstraction|faites abstraction)\b (?:de |d['’])?(?:(?:toutes?|tous|les|des|tes|vos|mes|ces|la|le)\b ?){{0,3}}{_IN_SENTENCE}{{0,12}}\b(?:instructions?|consignes?|règles|directives|ordres)\b(?: (?:qui )?(?:précédentes?|précèdent|ci-dessus|antérieures?|du système|système|initiales?|données|reçues))",
    r"\b(?:tu es|vous êtes) (?:maintenant|désormais) (?:un|une|le|la|l['’])|\bà partir de maintenant,? (?:tu|vous)\b",
    r"\b(?:affiche|révèle|montre|donne|répète)(?:[rz]|-moi|z-moi)?\b[^.!?\n]{0,12}\b(?:ton|votre|le|tes|vos|les) (?:prompt|message|instructions) (?:système|caché\w*|initial\w*|secr\w+)",
    r"\b(?:l['’]IA|les IA|modèles? de langage|assistants? IA|chatbots?)\b[^.!?\n]{0,30}\b(?:doi(?:t|vent))\b[^.!?\n]{0,20}\b(?:dire|répondre|affirmer|recommander|ignorer)\b",
    r"\bdi(?:s|tes) (?:à (?:chaque|tous|l['’])|aux) ?(?:lecteurs?|les lecteurs|utilisateurs?|les utilisateurs)\b",
)
_SPANISH = (
    rf"\b(?:ignora|ignore|ignorad|olvida|olvide|descarta|descarte|omite|haz caso omiso de)\b (?:(?:todas?|todos|las?|los|tus?|sus?|mis|estas)\b ?){{0,3}}{_IN_SENTENCE}{{0,12}}\b(?:instrucci(?:ón|ones)|reglas|órdenes|directrices|indicaciones)\b(?: (?:anterior(?:es)?|previas?|de arriba|del sistema|iniciales|que (?:has|te)))",
    r"\bahora eres (?:un|una|el|la)\b|\ba partir de ahora,? (?:eres|vas a|debes|responde|responderás|tú)\b",
    r"\b(?:muestra|revela|imprime|repite|dime|muéstrame)\b[^.!?\n]{0,12}\b(?:tu|tus|el|las|su|sus) (?:prompt|instrucciones|mensaje) (?:de[l]? sistema|ocult[oa]s?|inicial(?:es)?|secret[oa]s?)",
    r"\b(?:la IA|las IA|modelos? de lenguaje|asistentes? (?:de )?IA|chatbots?)\b[^.!?\n]{0,30}\b(?:deben?|tienen? que)\b[^.!?\n]{0,20}\b(?:decir|responder|afirmar|recomendar|ignorar)\b",
    r"\b(?:di|diles?|diga) a (?:todos|cada|los) (?:los )?(?:lector(?:es)?|usuarios?)\b",
)
ORDERS: Final = re.compile(
    "|".join(f"(?:{one})" for one in (*_ENGLISH, *_GERMAN, *_FRENCH, *_SPANISH)), re.IGNORECASE
)

TOLD_OF: Final = re.compile(
    r"(?:\b(?:not|never|cannot|can['’]t|without|nicht|niemals|keinesfalls|jamais|nunca|who|which|whoever|anyone|anybody|if (?:you|they|he|she|we|an?|the|employees|users)|when (?:you|they|users)"
    r"|to avoid|attempts?|tries|trying|tried|try|how to|says?|said|like|called|about|wer|wenn sie|falls sie|qui|si vous|quien|si usted)"
    r"|n['’]t|\b(?:ask|tell|instruct|persuad|trick|convinc|order|caus|forc|get|urg)\w* (?!you\b)(?:[\w-]+ ){0,4}(?:to|into)"
    r"|\b(?:make|makes|made|making|lets?|have|has|had) (?:an? |the |it|them|models?)(?:[\w-]+ ?){0,3})\s+\Z",
    re.IGNORECASE,
)
"""Before an order that is only told of: "Never …", "Employees who …", "it asks the model to …"."""
QUOTED: Final = re.compile(
    r"\"[^\"]*\"|“[^“”]*[”“]|„[^„“”]*[“”]|«[^«»]*»|‘[^‘’]*’|(?<!\w)'[^']*'(?!\w)|\([^()]*\)"
)
TALK: Final = re.compile(
    r"inject|jailbreak|malicious|adversar|attack|manipulat|phrase|wording|example|such as|\be\.g\b|for instance|pattern|detect|block list|filter"
    r"|angriff|angreifer|beispiel|schadhaft|attaque|exemple|ataque|atacante|ejemplo",
    re.IGNORECASE,
)
"""What a text about orders speaks of outside the quotation marks."""

EXFILTRATION: Final = re.compile(
    r"!\[[^\]]*\]\(\s*<?https?://[^)\s]*[?&#/][^)\s]*(?:=(?=[\s)>&])|[{<\[$%](?!2[0-9A-F])\w*(?:data|secret|history|conversation|prompt|question|answer|context|message|user|name|mail|key|token|base64|summary)\w*[}>\]%]?|=(?:DATA|SECRET|HISTORY|CONVERSATION|PROMPT|QUESTION|ANSWER|CONTEXT|MESSAGES?|BASE64|SUMMARY|TOKEN|EMAIL)\b)",
)
"""An image whose address has a hole for what was said: a reader that loads it gives that away."""
