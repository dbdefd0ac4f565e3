"""Controls of a written text: named wishes (length, style, keywords, ...), parsed, and measured on a text.

Each control has a fulfilment in [0, 1], so that candidates can be compared and people be told. Controllable generation
is evaluated so: by whether each constraint holds (Zhou et al. 2023, IFEval), beside how likely the text is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labelloop.tasks import formats, languages
from labelloop.tasks.languages import Languages
from labelloop.tasks.sentences import UNSPACED, sentences, tokens
from labelloop.tasks.styles import Style, styled

NAMES = ("words", "sentences", "style", "keywords", "avoid", "language", "format", "samples")
MOST_SAMPLES = 16
ABOUT = 0.1
"""How far from a plain number of words a text may be: "30" is 27 to 33, and two words either way are always granted."""
_RANGE = re.compile(r"(?P<sign><=|>=|<|>|≤|≥)?\s*(?P<low>\d{1,5})\s*(?:(?:-|–|to|\.\.)\s*(?P<high>\d{1,5}))?")
_SPACES = re.compile(rf"[{UNSPACED}]")


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, both included; ``high`` None: no limit. ``wish``: how it was said, for the prompt:
    "about", "between", "most" or "least"."""

    low: int
    high: int | None
    wish: str
    value: str

    def fulfilment(self, count: int) -> float:
        """1.0 inside; outside less by the share of the limit that it is off."""
        if count < self.low:
            return count / self.low
        if self.high is not None and count > self.high:
            return max(0.0, 1 - (count - self.high) / max(1, self.high))
        return 1.0


@dataclass(frozen=True)
class Controls:
    """The wishes of a field. What is not wished for is None or empty."""

    words: Range | None = None
    sentences: Range | None = None
    style: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    language: str = ""
    format: str = ""
    samples: int = 1


def parse(options: Mapping[str, str], styles: Mapping[str, Style]) -> Controls:
    """The controls among the options; options that are none are left alone.

    >>> parse({"words": "20-40", "keywords": "storm, umbrella"}, {}).keywords
    ('storm', 'umbrella')

    Raises:
        ValueError: a value cannot be read; names the option, the value and what is accepted.
    """
    told = {name: options[name].strip() for name in NAMES if options.get(name, "").strip()}
    style = tuple(one.lower() for one in _listed(told.get("style", "")))
    if unknown := [one for one in style if one not in styles]:
        raise ValueError(f"The option style is {unknown[0]!r}; known: {', '.join(styles)}.")
    keywords, avoid = _listed(told.get("keywords", "")), _listed(told.get("avoid", ""))
    if both := [one for one in keywords if any(occurs(other, one) for other in avoid)]:
        raise ValueError(f"The options keywords and avoid both have {both[0]!r}.")
    wanted = told.get("format", "").lower()
    if wanted and not formats.known(wanted):
        raise ValueError(f"The option format is {wanted!r}; known: json, list, code:python, code:<another language>.")
    return Controls(
        words=read_range("words", told.get("words", ""), about=True),
        sentences=read_range("sentences", told.get("sentences", ""), about=False),
        style=style,
        keywords=keywords,
        avoid=avoid,
        language=told.get("language", "").lower(),
        format=wanted,
        samples=_samples(told.get("samples", "1")),
    )


def _listed(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in re.split(r"[,;\n]", value) if one.strip()))


def read_range(name: str, value: str, about: bool) -> Range | None:
    """A wished number; None where nothing is wished.

    Raises:
        ValueError: it is something else; says what is read.
    """
    if not value:
        return None
    match = _RANGE.fullmatch(value)
    if match and not (match["sign"] and match["high"]):
        low = int(match["low"])
        if match["sign"]:
            low += {"<": -1, ">": 1}.get(match["sign"], 0)
            found = Range(1, low, "most", str(low)) if match["sign"] in "<=≤" else Range(low, None, "least", str(low))
        elif match["high"]:
            found = Range(low, int(match["high"]), "between", f"{low} to {int(match['high'])}")
        else:
            slack = max(2, round(ABOUT * low)) if about else 0
            found = Range(max(1, low - slack), low + slack, "about", str(low))
        if found.low >= 1 and (found.high is None or found.high >= found.low) and low >= 1:
            return found
    raise ValueError(f"The option {name} is {value!r}; it must be like 30, 20-40, <=50 or >=10.")


def _samples(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MOST_SAMPLES:
        raise ValueError(f"The option samples is {value!r}; it must be a number from 1 to {MOST_SAMPLES}.")
    return int(value)


def count_words(text: str) -> int:
    """Words of a text, as an editor counts them; of scripts without spaces, characters."""
    return sum(len(_SPACES.findall(part)) or 1 for part in text.split() if any(one.isalnum() for one in part))


def occurs(phrase: str, text: str) -> bool:
    """Whether the words of the phrase stand in the text one after the other, in any of their forms."""
    wanted = [token.stem for token in tokens(phrase) if token.is_word]
    found = [token.stem for token in tokens(text) if token.is_word]
    size = len(wanted)
    return bool(size) and any(found[start : start + size] == wanted for start in range(len(found) - size + 1))


def fulfilment(text: str, controls: Controls, styles: Mapping[str, Style], known: Languages) -> dict[str, float]:
    """By control that can be measured, in [0, 1]; a language that is not known, and code in another language than
    Python, are not among them. 0.5 for a text that is too short to tell its language."""
    found: dict[str, float] = {}
    if controls.words:
        found["words"] = controls.words.fulfilment(count_words(text))
    if controls.sentences:
        found["sentences"] = controls.sentences.fulfilment(count_sentences(text))
    for name in controls.style:
        found[f"style {name}" if len(controls.style) > 1 else "style"] = styled(text, styles[name])
    if controls.keywords:
        found["keywords"] = sum(occurs(one, text) for one in controls.keywords) / len(controls.keywords)
    if controls.avoid:
        found["avoid"] = 1 - sum(occurs(one, text) for one in controls.avoid) / len(controls.avoid)
    if code := languages.code_of(controls.language, known):
        guess = languages.guess(text, known)
        found["language"] = float(guess == code) if guess else 0.5
    if controls.format and (measured := formats.fulfilment(text, controls.format)) is not None:
        found["format"] = measured
    return {name: round(value, 4) for name, value in found.items()}


def count_sentences(text: str) -> int:
    return len(_ends(text))


def _ends(text: str) -> list[int]:
    """Where each sentence ends; one that is cut for being long counts once."""
    found = sentences(text)
    last = [one[-1].end for one, after in pairwise(found) if not _goes_on(text, one[-1].end, after[0].start)]
    return [*last, found[-1][-1].end] if found else []


def _goes_on(text: str, end: int, start: int) -> bool:
    return text[end - 1].isalnum() and "\n" not in text[end:start]


def repair(text: str, controls: Controls) -> tuple[str, tuple[str, ...]]:
    """The text and what was done to it: its format taken out of what stands around it; sentences with words that are to
    be avoided left out; cut after the last sentence that the length allows. Sentences are kept whole, and one stays.
    """
    done: list[str] = []
    if controls.format:
        taken = formats.extract(text, controls.format)
        if taken != text.strip():
            done.append(f"format: taken out as {controls.format}")
        return taken, tuple(done)
    kept = _without(text, controls.avoid)
    if kept != text:
        done.append("avoid: sentences with these words left out")
    cut = _cut(kept, controls)
    if cut != kept:
        done.append("length: cut after a sentence")
    return cut, tuple(done)


def _without(text: str, avoid: Sequence[str]) -> str:
    if not avoid:
        return text
    inner = _ends(text)[:-1]
    pieces = [text[start:end] for start, end in pairwise([0, *inner, len(text)])]
    kept = [piece for piece in pieces if not any(occurs(one, piece) for one in avoid)]
    return "".join(kept).strip() if kept and len(kept) < len(pieces) else text


def _cut(text: str, controls: Controls) -> str:
    ends = _ends(text)
    fits = 0
    for place, end in enumerate(ends, 1):
        many = controls.sentences and controls.sentences.high is not None and place > controls.sentences.high
        long = controls.words and controls.words.high is not None and count_words(text[:end]) > controls.words.high
        if many or long:
            break
        fits = place
    return text if fits == len(ends) else text[: ends[max(0, fits - 1)]].strip()


def missing(text: str, controls: Controls) -> list[str]:
    """The keywords that the text lacks."""
    return [one for one in controls.keywords if not occurs(one, text)]


def listed(words: Sequence[str]) -> str:
    """The words as the beginning of a sentence.

    >>> listed(["storm", "umbrella"])
    'Storm and umbrella'
    """
    said = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    return said[:1].upper() + said[1:]
