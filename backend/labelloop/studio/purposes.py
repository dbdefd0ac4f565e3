"""What a text box is for, as the words say that stand with it: its name, its placeholder, its header.

Precision goes before recall: to fill a box for remarks is worse than to leave a box empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from labelloop.studio.languages import in_name, in_text
from labelloop.studio.questions import ANSWER, word_set, words_of

Purpose = Literal["people", "summarisation", "translation", "generation", "reply"]
"""The task kinds that words alone tell; "reply": to whatever the box reads, which decides the kind."""


PEOPLE = word_set(
    "comment comments commentary note notes feedback reason reasons reasoning rationale why justify justification "
    "remark remarks opinion opinions suggestion suggestions observation observations annotator reviewer doubt doubts "
    "critique evaluation assessment email phone address anything kommentar kommentare anmerkung anmerkungen notiz "
    "notizen bemerkung bemerkungen begründung begruendung begründe begründen grund gründe warum rückmeldung hinweis "
    "hinweise commentaire commentaires remarque remarques raison raisons pourquoi avis comentario comentarios nota "
    "notas observación observaciones razón razones motivo motivos opinión justificación commento commenti motivazione"
)
_LACKS = word_set(
    "error errors mistake mistakes quality score rating issue issues missing wrong fehler qualität erreur erreurs "
    "qualité error errores calidad"
)
_NO_TEXT = _LACKS | word_set(  # as the last word of a name: it is something about the text, not the text
    "ok okay problem problems type kind source length count label labels id ids url link status confidence language "
    "lang tag tags keyword keywords needed check checked flag name author date time category class level count start "
    "end span spans intent intents act acts topic topics emotion sentiment action state slot slots domain"
)
SUMMARY = word_set(
    "summary summaries summarize summarise summarized summarised summarization summarisation abstract synopsis gist "
    "recap tldr takeaway takeaways zusammenfassung zusammenfassungen zusammenfassen kurzfassung résumé résumés résumer "
    "resumé sommaire resumen resúmenes resumir riassunto riassunti sintesi samenvatting resumo sammanfattning "
    "podsumowanie streszczenie özet резюме"
)
SHORT = word_set(
    "headline headlines title titles überschrift ueberschrift titel schlagzeile titre titres titular titulares título "
    "titulo titoli titolo"
)
TRANSLATION = word_set(
    "translation translations translate translated translating übersetzung übersetzungen übersetzen übersetzt "
    "uebersetzung traduction traductions traduire traduit traducción traduccion traducciones traducir traducido "
    "traduzione traduzioni tradurre tradução traducao vertaling vertalen översättning oversettelse tłumaczenie перевод "
    "переклад çeviri"
)
_CORRECTION = word_set("correction corrections corrected korrektur korrigiert corrección corrigé corregido")
_EXPLANATION = word_set("explanation explanations explain explained erklärung erklären explication explicación")
_REWRITING = {
    "Paraphrase the text: say the same in other words.": word_set(
        "paraphrase paraphrases paraphrased paraphrasing paraphrasieren umschreibung paráfrasis parafrasi"
    ),
    "Rewrite the text in other words.": word_set(
        "rewrite rewrites rewritten rewriting rephrase rephrased rephrasing reword reworded umformulierung "
        "umformulieren umgeschrieben reformulation reformuler reformulé reescritura reescribir riscrittura"
    ),
    "Simplify the text: use short sentences and easy words.": word_set(
        "simplify simplified simplification simple vereinfachung vereinfacht simplifié simplification simplificación "
        "simplificado semplificazione"
    ),
    "Correct the spelling and the grammar of the text, and change nothing else.": _CORRECTION | word_set("proofread"),
    "Write the text in its normal form, with abbreviations and numbers written out.": word_set(
        "normalize normalise normalized normalised normalization normalisation normalisierung"
    ),
    "Continue the text.": word_set("continuation continuations continue completion completions fortsetzung suite"),
    "Write another text that means the same.": word_set(
        "augmentation augmentations augmented augment variation variations variant variants variante varianten"
    ),
    "Explain the text in easy words.": _EXPLANATION,
    "": word_set("code sql program generation generated"),  # only the request itself says what
}
_DOUBTFUL = _CORRECTION | _EXPLANATION | _REWRITING[""] | {"completion", "completions", "simple", "suite", "variant"}
"""Words that also name something else: what an annotator corrects or explains, the code of a category."""
_SAMPLED = (
    _REWRITING["Write another text that means the same."]
    | (_REWRITING["Paraphrase the text: say the same in other words."])
)
REPLY = ANSWER | word_set(
    "response responses resp reply replies respond completion output outputs utterance turn message assistant agent "
    "bot next generation generated ideal reference result solution erwiderung réplique mensaje mensagem nachricht"
)
_IMPERATIVES: dict[str, Purpose] = {
    **dict.fromkeys(
        word_set("summarize summarise recap fasse fassen résumez résume resuma resumid riassumi riassumere"),
        "summarisation",
    ),
    **dict.fromkeys(
        word_set(
            "translate übersetze übersetzen übersetzt traduisez traduis traduce traduzca traducid traduci vertaal"
        ),
        "translation",
    ),
    **dict.fromkeys(
        word_set(
            "rewrite rephrase reword paraphrase simplify proofread correct normalize normalise continue complete "
            "compose generate draft formuliere formulieren vereinfache vereinfachen korrigiere korrigieren "
            "paraphrasiere reformulez reformule simplifiez corrigez rédigez rédige reescribe reescriba "
            "simplifica corrige corrija redacta redacte riscrivi"
        ),
        "generation",
    ),
    **dict.fromkeys(
        word_set("answer respond reply antworte antworten beantworte beantworten répondez responde"), "reply"
    ),
}
_CREATION = word_set(
    "write create produce provide give enter type add make insert fill schreibe schreiben schreib verfasse verfassen "
    "gib geben erstelle erstellen écrivez écris donnez entrez saisissez tapez escribe escriba proporcione introduzca "
    "scrivi inserisci"
)
_BEFORE = word_set(
    "please now then bitte kindly you should must need to have will can task step your first finally also veuillez por "
    "favor sie du in one two the following text read"
)
_OTHERWISE = word_set(
    "about of what how if whether any wrong regarding for why optional here optionally über von zu falls sur si sobre"
)
_CLAUSE = re.compile(r"[.!:;,()\n]+|\band\b|\bund\b|\bthen\b|\bet\b|\by\b", re.IGNORECASE)


@dataclass(frozen=True)
class Told:
    """What words say a box is for. ``word``: which of them. ``instruction``: what is to be done, where a name says it.
    ``surely``: the words name nothing else. ``short``: a line, not a paragraph. ``sampled``: several texts may do."""

    purpose: Purpose
    word: str
    instruction: str = ""
    surely: bool = True
    short: bool = False
    sampled: bool = False


def by_name(name: str) -> Told | None:
    """What a control's name says it is for; None where it says nothing."""
    words = [word for word in words_of(name) if len(word) > 1]
    if not words:
        return None
    if said := next((word for word in words if word in PEOPLE), ""):
        return Told("people", said)
    if {"tl", "dr"} <= set(words):
        return Told("summarisation", "tl;dr")
    if words[-1] in _NO_TEXT:
        return Told("people", words[-1]) if len(words) > 1 else None
    for word in reversed(words):  # a compound is what its last part is
        if told := _by_word(word):
            return told
    languages = in_name(name)
    if languages and (len(words) > 1 or not languages[0].by_code):
        others = set(words) & word_set("text sentence target tgt mt output version segment satz texte texto phrase")
        return Told("translation", name, surely=(bool(others) or len(words) == 1) and languages[0].language != "Polish")
    if set(words) & {"target", "tgt", "mt"} or (languages and len(words) == 1):
        return Told("translation", name, surely=False)
    return None


def _by_word(word: str) -> Told | None:
    if word in SUMMARY:
        return Told("summarisation", word)
    if word in SHORT:
        return Told("summarisation", word, surely=False, short=True)
    if word in TRANSLATION:
        return Told("translation", word)
    for instruction, words in _REWRITING.items():
        if word in words and word != "generated":
            return Told("generation", word, instruction, word not in _DOUBTFUL, sampled=word in _SAMPLED)
    return Told("reply", word, surely=False) if word in REPLY else None


def by_sentence(text: str) -> Told | None:
    """What a header or a placeholder says: an order ("Translate into French"), or a title ("Your summary").

    None where it says nothing of the kind; a question says nothing, for it may be one to the annotator.
    """
    words = words_of(text)
    if {"tl", "dr"} <= set(words):
        return Told("summarisation", "tl;dr")
    first = next((place for place, word in enumerate(words) if word in PEOPLE | _LACKS), len(words))
    if first < len(words) and not any(_order(words[: place + 1]) for place in range(first)):
        return Told("people", words[first])
    if "?" in text:
        return None
    for clause in _CLAUSE.split(text):
        if told := _by_clause(words_of(clause), clause):
            return told
    return None


def _order(words: tuple[str, ...]) -> bool:
    return bool(words) and words[-1] in _IMPERATIVES and set(words[:-1]) <= _BEFORE


def _by_clause(words: tuple[str, ...], clause: str) -> Told | None:
    start = next((place for place, word in enumerate(words) if word not in _BEFORE), len(words))
    rest = words[start:]
    if not rest:
        return None
    if rest[0] in _IMPERATIVES:
        purpose = _IMPERATIVES[rest[0]]
        if rest[0] in {"fasse", "fassen"} and "zusammen" not in rest:
            return None
        if rest[0] in {"correct", "complete"} and set(rest) & _NO_TEXT:
            return None  # "Correct label", "Complete the form if ..."
        return Told(purpose, rest[0], surely=purpose != "reply")
    creation = rest[0] in _CREATION
    if not creation and len(words) > 4:
        return None
    for place, word in enumerate(rest[:6]):
        if word in _OTHERWISE and not (creation and place == 0):
            return None
        following = rest[place + 1 : place + 2]
        if (told := _by_word(word)) and not set(following) & (_NO_TEXT | PEOPLE):
            return told
    if creation or len(words) <= 2:
        languages = in_text(clause)
        if languages and len(rest) - creation <= 3:
            return Told("translation", languages[0].language, surely=False)
    return None


def is_instruction(text: str) -> bool:
    """Whether a sentence tells what to write, so that a model can be told it too: not "Type here" or "Summary"."""
    if "?" in text:
        return False
    for clause in _CLAUSE.split(text):
        rest = [word for word in words_of(clause) if word not in _BEFORE]
        if rest and (rest[0] in _IMPERATIVES or (rest[0] in _CREATION and len(rest) >= 3 and "here" not in rest)):
            return True
    return False


def asks_for_text(text: str) -> bool:
    """Whether a sentence orders a text of its own kind from whoever writes: "Write a product description"."""
    words = words_of(text)
    rest = [word for word in words if word not in {"please", "now", "then", "bitte"}]
    if "?" in text or len(rest) < 4 or set(rest) & (_OTHERWISE - {"of", "for", "about"} | PEOPLE | _LACKS):
        return False
    orders = word_set("write compose generate draft create produce continue complete verfasse schreibe rédigez redacte")
    return rest[0] in orders and not set(rest) & {"your", "you", "yourself", "something", "down", "dein", "ihre"}
