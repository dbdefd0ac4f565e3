"""What prompts/relations/ tells: general relations with sentences that state them, and what label names mean."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, model_validator
from pydantic import Field as Check

from labelloop.prompting import PromptFile, Strict
from labelloop.tasks.verbalizers import humanise, key

Ends = tuple[int, int]  # where a passage starts and ends in its text, in characters, end exclusive

_SLOT = re.compile(r"\{(head|tail|label)\}")
_ORDER = re.compile(r"\(\s*e?([12])\s*,\s*e?([12])\s*\)\s*$", re.IGNORECASE)
_PREFIX = re.compile(r"^[A-Za-z]{2,6}:(?=\w)|^/.*/(?=\w)")
_WEAK = {"is", "are", "was", "were", "be", "been", "being", "the", "a", "an"}
_NONE = {
    *("other", "others", "none", "no relation", "no relationship", "not related", "unrelated", "na", "n a", "nil"),
    *("none of the above", "other relation", "negative", "false", "no", "unknown", "irrelevant", "unspecified"),
}


class Example(NamedTuple):
    """A sentence with two passages marked, ``first`` before ``second``. ``forward``: the first one is the head."""

    text: str
    first: Ends
    second: Ends
    forward: bool


def _with_both(pattern: str) -> str:
    if sorted(slot for slot in _SLOT.findall(pattern) if slot != "label") != ["head", "tail"]:
        raise ValueError(f"{pattern!r} must have {{head}} and {{tail}}, each once")
    return pattern


Pattern = Annotated[str, AfterValidator(_with_both)]
Pair = Annotated[str, Check(pattern=r"^[^|]+ \| [^|]+$")]


class Sentences(Strict):
    """``pairs`` ("head | tail") that are put into ``patterns``."""

    pairs: Annotated[tuple[Pair, ...], Check(min_length=2)]
    patterns: Annotated[tuple[Pattern, ...], Check(min_length=1)]

    def examples(self, each: int = 1, step: int = 1) -> tuple[Example, ...]:
        """Every ``step``-th pattern with ``each`` of the pairs, which take turns."""
        pairs = [pair.split(" | ") for pair in self.pairs]
        made = []
        for row, pattern in enumerate(self.patterns):
            if row % step:
                continue
            for turn in range(each):
                place = row * each + turn * (len(pairs) // each) + row * each // len(pairs)
                head, tail = pairs[place % len(pairs)]
                made.append(fill(pattern, head, tail))
        return tuple(made)


class Relation(Sentences):
    """A general relation from a head to a tail.

    ``names``: spellings of labels that mean it, split by "|"; ``inverse``: those that mean it from tail to head.
    ``symmetric``: it has no direction. ``kin``: relations whose sentences are no evidence against it. ``head``,
    ``tail``: types of ``RelationPrompt.types``; none: any.
    """

    names: str
    inverse: str = ""
    symmetric: bool = False
    kin: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()

    def told(self, forward: bool) -> list[str]:
        """The names, or the inverse ones."""
        return [name.strip() for name in (self.names if forward else self.inverse).split("|") if name.strip()]


class RelationConstants(Strict):
    """``slope``: of the softmax over a pair's relations. ``none``: log-odds that two passages are not related, beside
    what the model says; ``crossed``: more of them for each other passage between the two, ``broken``: for each end of
    a sentence between them. ``mistyped``: less log-odds of a relation for each end whose label is of another type.
    ``told``: for labels that only their names explain: log-odds per unit of ``tasks.relation_model.told``, and the
    units that are usual. ``least``: the least probability of a relation that is shown."""

    slope: float = Check(gt=0)
    none: float
    crossed: float
    broken: float
    mistyped: float = Check(ge=0)
    told_slope: float = Check(gt=0)
    told_usual: float
    least: float = Check(ge=0, le=1)


class RelationPrompt(PromptFile):
    """A prompt file of the relations task."""

    hypotheses: Annotated[tuple[Pattern, ...], Check(min_length=1)]
    relations: dict[str, Relation]
    none: Sentences
    types: dict[str, str]
    constants: RelationConstants

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, relation in self.relations.items():
            if unknown := set(relation.kin) - set(self.relations):
                raise ValueError(f"kin of {name} names relations that are not there: {sorted(unknown)}")
            if unknown := {*relation.head, *relation.tail} - set(self.types):
                raise ValueError(f"{name} relates types that are not there: {sorted(unknown)}")
        return self

    def type_of(self, label: str) -> str:
        """The type that a span's label tells, or ""."""
        said = key(label)
        return next((kind for kind, names in self.types.items() if said in map(key, names.split("|"))), "")


class Meaning(NamedTuple):
    """What a label says. ``relations``: those of the prompt that it names, each with whether from head to tail;
    none where only ``phrase`` explains it. ``order``: 1 or 2: of the two passages, in the order of the text, the one
    that the label calls the head ("(e1,e2)" or "(e2,e1)"); 0: it leaves that open. ``symmetric``: no direction."""

    phrase: str
    relations: tuple[tuple[str, bool], ...] = ()
    order: int = 0
    symmetric: bool = False


def meaning(label: str, prompt: RelationPrompt) -> Meaning | None:
    """What a relation's label says; None where it says that there is no relation.

    >>> _bare("per:place_of_birth"), _bare("/people/person/nationality"), _bare("Cause-Effect(e2,e1)")
    ('place of birth', 'nationality', 'cause effect')
    """
    phrase = _bare(label)
    if phrase in _NONE or key(label) in _NONE:
        return None
    order = _ORDER.search(label)
    head = int(order[1]) if order and order[1] != order[2] else 0
    for same in (lambda name: name, _without_weak, _stemmed):
        found = tuple(
            (name, forward)
            for name, relation in prompt.relations.items()
            for forward in (True, False)
            if same(phrase) in {same(key(told)) for told in relation.told(forward)}
        )
        if found:
            return Meaning(phrase, found, head, all(prompt.relations[name].symmetric for name, _ in found))
    return Meaning(phrase, (), head)


def fill(pattern: str, head: str, tail: str, label: str = "") -> Example:
    """The pattern with its words in place.

    >>> fill("the {tail} of a {head}", "car", "wheel").text
    'the wheel of a car'
    """
    text, at, ends = "", 0, dict[str, Ends]()
    for slot in _SLOT.finditer(pattern):
        text += pattern[at : slot.start()]
        word = {"head": head, "tail": tail, "label": label}[slot[1]]
        ends[slot[1]] = (len(text), len(text) + len(word))
        text, at = text + word, slot.end()
    text += pattern[at:]
    first, second = sorted((ends["head"], ends["tail"]))
    return Example(text, first, second, ends["head"] < ends["tail"])


def _bare(label: str) -> str:
    return key(humanise(_PREFIX.sub("", _ORDER.sub("", label.strip()).strip()), {}))


def _without_weak(name: str) -> str:
    return " ".join(word for word in name.split() if word not in _WEAK) or name


def _stemmed(name: str) -> str:
    return " ".join(stem(word) for word in _without_weak(name).split())


def stem(word: str) -> str:
    """Roughly what the forms of an English word share. Takes lower case.

    >>> stem("causes"), stem("caused"), stem("causing"), stem("cause")
    ('caus', 'caus', 'caus', 'caus')
    """
    for ending in ("ing", "ies", "es", "ed", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
