"""Which accepted texts stand before an ask of a kind that writes, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from labelloop.engines import Ask
from labelloop.tasks import windows
from labelloop.tasks.text_memory import TextMemory
from labelloop.tasks.writing_prompt import Job, Values, ask
from labelloop.templating import fill
from labelloop.words import Field, Reading

if TYPE_CHECKING:
    from labelloop.tasks.writing import Desk

SHARE = 1 / 3
"""Of a model's room, what demonstrations may take ..."""
MOST_TOKENS = 1024
"""... and at most so many tokens: those of the nearest ones are read anew for each item."""
NEAREST = 2
"""Demonstrations that are an item's own, where not all fit: few, since these are read anew for each item, and those
before them once."""
_FIXED_SHARE = 2 / 3  # of the tokens; the rest is for the nearest
_SPARE = 4  # times as many near ones are looked at as there is place for, since some are too long

Turn = tuple[Values, str]


class Shown(NamedTuple):
    """``turns``: (values, reply) before an item's asks, in order. ``labelled``: how many of the demonstrations are
    accepted texts. ``longest``: tokens of the longest accepted reply among them."""

    turns: tuple[Turn, ...]
    labelled: int
    longest: int


class _Demonstration(NamedTuple):
    turns: tuple[Turn, ...]
    tokens: int
    longest: int


class Demonstrations:
    """The accepted texts of a field as a prompt shows them, for any number of items.

    At most ``shown`` of the prompt; 0 shows none. First come the prompt's own, as many as there is place for beside the
    accepted ones; then accepted ones that are the same for all items, in a fixed order: what all asks begin with is
    read once (``engines.prefix``), and stays the same from label to label as long as all fit. Where not all do, these
    are those that stand for the others best; and behind them come the ``NEAREST`` of the item, the nearest last, where
    a model heeds it most (Zhao et al. 2021, "Calibrate before use"; Liu et al. 2022 order them so, too).

    Together they take ``SHARE`` of the model's room or ``MOST_TOKENS``, and never push the item's own text out: an item
    that does not fit whole beside them has as few tokens of them as it has of the prompt's own demonstrations.
    """

    def __init__(self, desk: Desk, field: Field, memory: TextMemory) -> None:
        self._desk, self._field, self._memory = desk, field, memory
        self._made: dict[int, _Demonstration | None] = {}
        self._share = min(int(SHARE * desk.writer.room), MOST_TOKENS)
        self._places = desk.prompt.shown
        self._varied = min(NEAREST, (self._places + 1) // 2)
        self._fixed = self._for_all()
        if len(self._fixed) == len(memory.accepted):
            self._varied = 0

    def near(self, readings: Sequence[Reading]) -> list[list[int]]:
        """Places of accepted items near to each reading, beside those that are shown before all."""
        return self._memory.nearest(readings, _SPARE * self._varied, self._fixed)

    def of(self, job: Job, near: Sequence[int]) -> Shown:
        """What stands before the asks of an item, whose job is settled; ``near``: its row of ``near``.

        Raises:
            Unwritable, ValueError: the prompt cannot be filled with the job.
        """
        desk = self._desk
        own = [self._measured([(desk.values(one.job), one.reply)]) for one in desk.shows(job)]
        fixed, nearest = ([one for place in some if (one := self._of(place))] for some in (self._fixed, near))
        left, more = self._left(job, max((one.longest for one in (*fixed, *nearest)), default=0))
        budget = max(min(self._share, left), sum(one.tokens for one in own) - more)
        first = list(_while_room(fixed, budget))
        budget -= sum(one.tokens for one in first)
        last: list[_Demonstration] = []
        for one in nearest:
            if len(last) < self._varied and one.tokens <= budget:
                last.insert(0, one)
                budget -= one.tokens
        labelled = [*first, *last]
        kept = list(_while_room(own[: self._places - len(labelled)], budget)) if labelled else own
        turns = tuple(turn for one in (*kept, *labelled) for turn in one.turns)
        return Shown(turns, len(labelled), max((one.longest for one in labelled), default=0))

    def _for_all(self) -> list[int]:
        count = len(self._memory.accepted)
        if count <= self._places:
            each = [self._of(place) for place in range(count)]
            if sum(one.tokens for one in each if one) <= self._share:
                return list(range(count))
        found: list[int] = []
        held = 0
        for place in self._memory.general:
            one = self._of(place)
            if len(found) == self._places - self._varied:
                break
            if one and held + one.tokens <= _FIXED_SHARE * self._share:
                found.append(place)
                held += one.tokens
        return found

    def _left(self, job: Job, longest: int) -> tuple[int, int]:
        """Tokens beside the prompt, as much of the job as is read at once, and a reply, below zero where it is cut; and
        how many tokens more the reply has, since accepted ones have up to ``longest``."""
        desk = self._desk
        place = max(range(len(job.passages)), key=lambda one: len(job.passages[one][1]))
        name, text = job.passages[place]
        empty = job._replace(passages=(*job.passages[:place], (name, ""), *job.passages[place + 1 :]))
        whole, without = desk.writer.sizes([desk.ask(job, ()), desk.ask(empty, ())])
        size = whole - without
        if desk.prompt.by != "text":
            pieces = windows.cut(text, desk.writer.room, desk.measure, desk.prompt.by)
            size = max(desk.measure([text[start:end] for start, end in pieces]))
        if desk.prompt.window:
            size = min(size, desk.prompt.window)
        (tokens,) = desk.measure([job.text])
        usual, most = (desk.manner(job, tokens, one).max_tokens for one in (0, longest))
        return desk.writer.room - without - size - most, most - usual

    def _of(self, place: int) -> _Demonstration | None:
        """The accepted text as it is shown; None where the prompt cannot show it, or it takes more than the share."""
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    def _make(self, place: int) -> _Demonstration | None:
        from labelloop.tasks.writing import Unwritable, job_of

        reading, (reply, *_) = self._memory.accepted[place]
        desk = self._desk
        try:
            job = desk.craft.settle(job_of(self._field, reading), desk.prompt)
            turns = [(desk.values(its), text) for its, text in self._pairs(job, reply)]
            if desk.prompt.keep_begin:
                turns = [(values, _without(fill(desk.prompt.begin, values), text)) for values, text in turns]
            made = self._measured([(values, text) for values, text in turns if text])
        except (Unwritable, ValueError):
            return None
        return made if made.turns and made.tokens <= self._share else None

    def _pairs(self, job: Job, reply: str) -> list[tuple[Job, str]]:
        """The item and its text; of a prompt that reads lines or sentences by themselves, these one by one where both
        have equally many. A reply has no string that would have stopped it."""
        prompt, text = self._desk.prompt, job.text
        if prompt.by != "text" and len(job.passages) == 1:
            parts = [[whole[start:end].strip() for start, end in self._cut(whole)] for whole in (text, reply)]
            if len(parts[0]) == len(parts[1]) and all(map(all, parts)):
                name = job.passages[0][0]
                pairs = zip(*parts, strict=True)
                return [(job._replace(passages=((name, one),)), _unstopped(other, prompt.stop)) for one, other in pairs]
        return [(job, _unstopped(reply, prompt.stop))]

    def _cut(self, text: str) -> list[tuple[int, int]]:
        return windows.cut(text, self._desk.writer.room, self._desk.measure, self._desk.prompt.by)

    def _measured(self, turns: Sequence[Turn]) -> _Demonstration:
        prompt, writer = self._desk.prompt, self._desk.writer
        if not turns:
            return _Demonstration((), 0, 0)
        asks = [ask(prompt, values, [(values, reply)]) for values, reply in turns]
        each = [Ask(its.messages[-3:-1]) for its in asks]  # its own two turns
        longest = max(self._desk.measure([reply for _, reply in turns]), default=0)
        return _Demonstration(tuple(turns), sum(writer.sizes(each)), longest)


def _while_room(some: Sequence[_Demonstration], budget: int) -> Iterator[_Demonstration]:
    """The first ones that fit: what comes behind one that does not would stand elsewhere than before other items."""
    for one in some:
        budget -= one.tokens
        if budget < 0:
            return
        yield one


def _without(begun: str, reply: str) -> str:
    """The reply behind its beginning, which the prompt gives; "" where it begins otherwise."""
    return reply[len(begun) :] if reply.startswith(begun) else ""


def _unstopped(reply: str, stop: Sequence[str]) -> str:
    for one in stop:
        reply = reply.replace(one, " ")
    return reply.strip()
