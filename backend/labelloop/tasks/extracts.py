"""Summaries made of a text's own sentences: its beginning, or what most of it is about. No model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from labelloop.tasks.sentences import sentences, tokens
from labelloop.tasks.turns import Turn, is_dialogue, read

_OFTEN = 0.6  # of the sentences: a word that stands in more of them tells nothing
_SHORT = 5  # words added to a sentence's length, so that the shortest do not win
_LEAST = 5  # words: "I see." and "Yes, please." tell nothing


def pieces(text: str) -> list[Turn]:
    """The sentences of a text, each with who says it in a dialogue and "" elsewhere.

    >>> pieces("Ann: Hi! How are you?")
    [Turn(speaker='Ann', text='Hi!'), Turn(speaker='Ann', text='How are you?')]
    """
    turns = read(text) if is_dialogue(text) else [Turn("", text)]
    return [Turn(who, said[one[0].start : one[-1].end]) for who, said in turns for one in sentences(said)]


def lead(parts: Sequence[Turn], words: int) -> str:
    """The first sentences, at least one, with at most so many words together."""
    return _together(parts, range(len(parts)), words)


def central(parts: Sequence[Turn], words: int) -> str:
    """The first sentence, and those whose words occur in most others (Luhn 1958), at most so many words together."""
    each = [{token.stem for token in tokens(part.text) if token.is_word} for part in parts]
    counts = Counter(word for its in each for word in its)
    most = max(2.0, _OFTEN * len(parts))
    worth = [
        sum(counts[word] for word in its if counts[word] <= most) / (len(tokens(part.text)) + _SHORT)
        for its, part in zip(each, parts, strict=True)
    ]
    return _together(parts, [0, *sorted(range(1, len(parts)), key=lambda place: -worth[place])], words)


def _together(parts: Sequence[Turn], order: Iterable[int], words: int) -> str:
    """In the text's order those of ``order`` that fit and are not too short to tell anything (where none is, the
    longest); the first of these in any case."""
    sizes = [_words(part.text) for part in parts]
    least = min(_LEAST, max(sizes, default=0))
    kept: list[int] = []
    held = 0
    for place in (place for place in order if place < len(parts) and sizes[place] >= least):
        size = sizes[place] + _words(parts[place].speaker)
        if not kept or held + size <= words:
            kept.append(place)
            held += size
    text, last = "", ""
    for place in sorted(kept):
        who, said = parts[place]
        begin = f"{who}: {said}" if who and who != last else said
        text += f"{'' if not text else chr(10) if who != last else ' '}{begin}"
        last = who
    return text


def _words(text: str) -> int:
    return sum(token.is_word for token in tokens(text))
