"""Languages as label configs name them: in words of several languages, and by code (`text_de`, "EN-DE")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from labelloop.studio.config_xml import attr
from labelloop.studio.questions import word_set, words_of

_KNOWN = {  # English name -> its codes; and what it is called in other languages
    "Arabic": ("ar ara", "arabisch arabe árabe arabo"),
    "Bengali": ("bn", "bengalisch"),
    "Bulgarian": ("bg", "bulgarisch bulgare búlgaro"),
    "Catalan": ("ca", "katalanisch català catalán"),
    "Chinese": ("zh cn zho cmn", "chinesisch chinois chino cinese chinês mandarin 中文"),
    "Croatian": ("hr", "kroatisch croate croata"),
    "Czech": ("cs cz ces", "tschechisch tchèque checo česky čeština"),
    "Danish": ("da", "dänisch danois danés dansk"),
    "Dutch": ("nl nld", "niederländisch holländisch néerlandais neerlandés nederlands"),
    "English": ("en eng", "englisch anglais inglés ingles inglese inglês engels engelsk"),
    "Estonian": ("et", "estnisch eesti"),
    "Finnish": ("fi", "finnisch finnois finés suomi"),
    "French": ("fr fra fre", "französisch franzoesisch français francais francés frances francese francês frans"),
    "German": ("de deu ger", "deutsch allemand alemán aleman tedesco alemão duits tysk"),
    "Greek": ("el", "griechisch grec griego greco"),
    "Hebrew": ("he iw", "hebräisch hébreu hebreo"),
    "Hindi": ("hi hin", ""),
    "Hungarian": ("hu", "ungarisch hongrois húngaro magyar"),
    "Indonesian": ("ind", "indonesisch"),
    "Italian": ("it ita", "italienisch italien italiano italiaans"),
    "Japanese": ("ja jp jpn", "japanisch japonais japonés giapponese 日本語"),
    "Korean": ("ko kr kor", "koreanisch coréen coreano 한국어"),
    "Latin": ("la", "latein latín latino"),
    "Latvian": ("lv", "lettisch"),
    "Lithuanian": ("lt", "litauisch"),
    "Norwegian": ("no nb", "norwegisch norvégien noruego norsk"),
    "Persian": ("fa", "farsi persisch"),
    "Polish": ("pl pol", "polnisch polonais polaco polacco polski"),
    "Portuguese": ("pt por", "portugiesisch portugais portugués portoghese português portugees"),
    "Romanian": ("ro ron", "rumänisch roumain rumano română"),
    "Russian": ("ru rus", "russisch russe ruso русский"),
    "Serbian": ("sr", "serbisch serbe serbio"),
    "Slovak": ("sk", "slowakisch slovaque eslovaco"),
    "Slovenian": ("sl", "slowenisch slovène esloveno"),
    "Spanish": ("es spa", "spanisch espagnol español espanol castellano spagnolo espanhol spaans"),
    "Swahili": ("sw", "kiswahili"),
    "Swedish": ("sv swe", "schwedisch suédois sueco svenska"),
    "Tamil": ("ta", ""),
    "Thai": ("th", ""),
    "Turkish": ("tr tur", "türkisch turc turco türkçe"),
    "Ukrainian": ("uk ukr", "ukrainisch ukrainien ucraniano українська"),
    "Urdu": ("ur", ""),
    "Vietnamese": ("vi vie", "vietnamesisch vietnamien vietnamita"),
}
_BY_CODE = {code: language for language, (codes, _) in _KNOWN.items() for code in codes.split()}
_BY_NAME = {name: language for language, (_, names) in _KNOWN.items() for name in (language.lower(), *names.split())}
_COMMON_WORDS = word_set(  # codes that are words of an identifier or a sentence more often than a language
    "it no he la da el hi et ta th sl sk ca cs por ind ger ur hr"
)
_FROM = frozenset({"from", "source", "src", "original", "von", "vom", "aus", "du", "depuis", "desde", "del"})
_INTO = frozenset(
    {"into", "in", "to", "target", "tgt", "ins", "nach", "auf", "zu", "en", "vers", "al", "a", "au", "para", "naar"}
)
_ARTICLES = frozenset({"l", "the", "das", "den", "dem", "le", "el", "o", "der"})
_SHORT = re.compile(r"\b([A-Z]{2})\b")
Way = Literal["from", "into", ""]


class Said(NamedTuple):
    """A language that is named. ``way``: whether a text comes from it or goes into it, where that is said."""

    language: str
    way: Way
    by_code: bool


def in_name(name: str) -> list[Said]:
    """The languages in an identifier, in order: of "translation_en_de", English and German."""
    words = words_of(name)
    found = []
    for place, word in enumerate(words):
        code = word in _BY_CODE and (word not in _COMMON_WORDS or (0 < place == len(words) - 1))
        language = _BY_NAME.get(word) or (_BY_CODE[word] if code else "")
        if language:
            found.append(Said(language, _way(words[:place]), word not in _BY_NAME))
    return found


def in_text(text: str) -> list[Said]:
    """The languages that a sentence names, in order; codes where they are capitals: "EN to DE"."""
    words = words_of(text)
    capitals = {code.lower() for code in _SHORT.findall(text)} - _COMMON_WORDS
    found = []
    for place, word in enumerate(words):
        language = _called(word) or (_BY_CODE.get(word, "") if word in capitals else "")
        if language == "Polish" and (not place or "Polish" not in text):
            continue  # a verb
        if language:
            found.append(Said(language, _way(words[:place]), not _called(word)))
    return found


def pair(said: Iterable[Said]) -> tuple[str, str]:
    """(source, target) of the languages that are named together, "" for one that is not said."""
    source = target = ""
    open_: list[str] = []
    for one in said:
        if one.way == "from":
            source = source or one.language
        elif one.way == "into":
            target = target or one.language
        elif one.language not in open_:
            open_.append(one.language)
    if not target and open_:
        target = open_.pop()
    if not source and open_ and open_[0] != target:
        source = open_[0]
    return source, target


def in_attributes(node: Any) -> str:
    """The language that a tag's attributes name (lang="de-DE", targetLanguage="German"), or ""."""
    for key in ("targetLanguage", "target_language", "targetLang", "target_lang", "language", "lang"):
        if said := attr(node, key).strip():
            return named(said)
    return ""


def named(said: str) -> str:
    """The English name of a language that is named by itself or by its code; anything else as it is."""
    first = next(iter(words_of(said)), "")
    return _BY_NAME.get(said.strip().lower()) or (_BY_CODE.get(first, said) if len(said.strip()) <= 8 else said)


def _way(before: tuple[str, ...]) -> Way:
    for word in reversed(before[-2:]):
        if word in _FROM:
            return "from"
        if word in _INTO:
            return "into"
        if word not in _ARTICLES:
            break
    return ""


def _called(word: str) -> str:
    """The language that a word names, also with a German ending: ins Deutsche, vom Englischen."""
    forms = (word, word.removesuffix("e"), word.removesuffix("en"), word.removesuffix("n"))
    return next((_BY_NAME[form] for form in forms if form in _BY_NAME), "")
