"""Kinds that write: from readings to asks, from replies to texts. One flow; each kind adds what it alone knows.

A reading becomes a ``Job``; a job that does not fit into the model becomes several, each with a window of its longest
passage; each is asked for, its candidates are cleaned and checked, one is chosen, and the windows' replies are merged
by the kind's rule. What was done stands in the answer's provenance. With a memory, texts that people accepted stand
before each ask, and what was accepted for an item that says the same is its answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labelloop.engines import Ask, Manner, Writer, Written
from labelloop.tasks import asking, choosing, replies, windows
from labelloop.tasks.calibration import rounded
from labelloop.tasks.choosing import Candidate
from labelloop.tasks.demonstrating import Demonstrations, Shown
from labelloop.tasks.memory import SAME_TEXT
from labelloop.tasks.text_memory import TextMemory
from labelloop.tasks.writing_prompt import Demonstration, Job, Values, WritingPrompt, ask
from labelloop.templating import Value
from labelloop.words import Answer, Field, FieldPlan, Reading

LEAST_AFTER = 2
"""Words that go on from another beginning than the prompt's, else it is only closed with a full stop."""
UNKNOWN = 0.5
"""The score of a text of whose likelihood the engine says nothing."""
MOST_ROUNDS = 4
"""How often replies are read again; what is longer then is put together as it is."""
Merge = Literal["join", "again", "best", "last"]
_TOLD = {
    "join": "the replies of all windows, put together",
    "again": "the replies of all windows, read again as one text",
    "best": "the likeliest of the windows' replies",
    "last": "the last lines that fit were read alone",
}


class Unwritable(Exception):
    """There is nothing to write for this item; the message is the answer's reason."""


@dataclass(frozen=True)
class Craft:
    """What a written kind knows.

    ``settle(job, prompt)``: the job with what is decided once for all its windows; ``tell(job, prompt)``: the values
    that it adds to the common ones. Both raise Unwritable. ``shows(job, prompt)``: demonstrations that suit the job.
    ``clean(text, job, prompt)``, ``fault(text, job, prompt)``: what of a reply counts, and why it is worthless (""
    where it is not). ``doubt(candidate, job, prompt)``: the same, by its likelihood too. ``nearness(one, other)``: in
    [0, 1], how well one text serves where the other is right; consensus maximises it. ``beside(job, prompt)``: (origin,
    text) of candidates that no model wrote; they are weighed where no reply is sure, and the choice is a consensus or
    the engine judges. ``fallback(job, prompt)``: the same, of a text for where no candidate is worth anything.
    ``merge``: what becomes of the replies of a text's windows. ``nothing``: the text that says that there is nothing to
    write. ``shape(answer, plan, reading, prompt)``: the answer as it leaves.

    ``manner(job, prompt, manner)``: the manner of the first replies to a job. ``repair(text, job, prompt)``: a worthy
    text made better, and what was done to it. ``worth(text, job, prompt)``: in [0, 1], how far a text does what is
    wished; the most worthy candidates alone are chosen from. ``again(best, job, prompt)``: where none is worth 1,
    (beginning, samples) of what else is written before one is chosen; a beginning of None is that of the prompt.
    ``bare(job)``: the job without its text, for a choice by what the text adds. ``count(job, prompt)``: how many
    different texts are wished for.
    """

    settle: Callable[[Job, Any], Job] = lambda job, prompt: job
    tell: Callable[[Job, Any], Mapping[str, Value]] = lambda job, prompt: {}
    shows: Callable[[Job, Any], Sequence[Demonstration]] = lambda job, prompt: prompt.demonstrations
    clean: Callable[[str, Job, Any], str] = lambda text, job, prompt: replies.clean(text, prompt.lead_ins)
    fault: Callable[[str, Job, Any], str] = lambda text, job, prompt: replies.fault(text)
    doubt: Callable[[Candidate, Job, Any], str] = lambda candidate, job, prompt: ""
    nearness: choosing.Nearness = choosing.shared_words
    beside: Callable[[Job, Any], Sequence[tuple[str, str]]] = lambda job, prompt: ()
    fallback: Callable[[Job, Any], tuple[str, str] | None] = lambda job, prompt: None
    merge: Merge = "join"
    nothing: str = ""
    shape: Callable[[Answer, FieldPlan, Reading, Any], Answer] = lambda answer, plan, reading, prompt: answer
    manner: Callable[[Job, Any, Manner], Manner] = lambda job, prompt, manner: manner
    repair: Callable[[str, Job, Any], tuple[str, tuple[str, ...]]] = lambda text, job, prompt: (text, ())
    worth: Callable[[str, Job, Any], float] = lambda text, job, prompt: 1.0
    again: Callable[[str, Job, Any], Sequence[tuple[str | None, int]]] = lambda best, job, prompt: ()
    bare: Callable[[Job], Job] = lambda job: replace_text(job, "")
    count: Callable[[Job, Any], int] = lambda job, prompt: 1


@dataclass
class _Work:
    """An item on its way. ``parts``: jobs of this round with the space before each in the text. ``found``: the chosen
    candidate of each. ``facts``: of the provenance. ``shown``: what stands before its asks, where there is a memory;
    ``accepted``: the texts that were accepted for an item that says the same."""

    job: Job
    parts: list[tuple[str, Job]] = field(default_factory=list)
    found: list[Candidate] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    written: Candidate | None = None
    shown: Shown | None = None
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desk:
    """A kind at work: what all its items share."""

    craft: Craft
    writer: Writer
    prompt: WritingPrompt

    def values(self, job: Job) -> Values:
        return {**job.values, **self.craft.tell(job, self.prompt)}

    def shows(self, job: Job) -> Sequence[Demonstration]:
        """The prompt's own demonstrations for a job."""
        return self.craft.shows(job, self.prompt)[: self.prompt.shown]

    def ask(self, job: Job, turns: Sequence[tuple[Values, str]] | None = None) -> Ask:
        """The ask of a job behind (values, reply) of demonstrations; None: the prompt's own."""
        if turns is None:
            turns = [(self.values(one.job), one.reply) for one in self.shows(job)]
        return ask(self.prompt, self.values(job), turns)

    def manner(self, job: Job, size: int, longest: int = 0) -> Manner:
        """How to write of a job whose text has ``size`` tokens, behind accepted replies of up to ``longest`` tokens."""
        prompt = self.prompt
        most = max(prompt.length.of(size), -(-longest // 32) * 32)
        usual = Manner(most, prompt.stop, "", prompt.samples, prompt.temperature)
        return self.craft.manner(job, prompt, usual)

    def ask_of(self, work: _Work, job: Job) -> Ask:
        return self.ask(job, work.shown.turns if work.shown else None)

    def manner_of(self, work: _Work, job: Job, size: int) -> Manner:
        return self.manner(job, size, work.shown.longest if work.shown else 0)

    def measure(self, texts: Sequence[str]) -> list[int]:
        return asking.measure(self.writer, texts)


def writes(craft: Craft) -> Callable[[FieldPlan, Sequence[Reading], Writer, Any], list[Answer]]:
    """The ``answer`` of a kind's registry line."""
    return lambda plan, readings, writer, prompt: answer(craft, plan, readings, writer, prompt)


def answer(
    craft: Craft,
    plan: FieldPlan,
    readings: Sequence[Reading],
    writer: Writer,
    prompt: WritingPrompt,
    memory: TextMemory | None = None,
) -> list[Answer]:
    """One Answer per reading, with one text and the probability that it is right; or the reason why there is none.

    Args:
        memory: the texts that people accepted for other items (``tasks.demonstrating`` says how they are shown).

    Raises:
        ModelError: the engine fails as a whole.
    """
    desk = Desk(craft, writer, prompt)
    works = [_Work(job_of(plan.field, reading)) for reading in readings]
    for work in works:
        _settle(desk, work)
    if memory is not None:
        _remember(desk, plan.field, works, readings, memory)
    for work in works:
        if not work.reason and not work.accepted:
            _divide(desk, work, work.job)
    for round_ in range(MOST_ROUNDS):
        open_ = [work for work in works if work.parts and not work.reason]
        if not open_:
            break
        _write(desk, open_)
        for work in open_:
            _merge(desk, work, last=round_ == MOST_ROUNDS - 1)
    return [_finish(desk, plan, work, reading) for work, reading in zip(works, readings, strict=True)]


def parts_of(desk: Desk, field: Field, reading: Reading) -> list[Job]:
    """What is read at once of an item: its job, or one for each of its windows; [] where nothing can be written."""
    work = _Work(job_of(field, reading))
    _settle(desk, work)
    if not work.reason:
        _divide(desk, work, work.job)
    return [] if work.reason else [job for _, job in work.parts]


def job_of(field: Field, reading: Reading) -> Job:
    """What is to be written for the field of an item that reads so."""
    passages = tuple((passage.name, passage.text) for passage in reading.passages)
    return Job(passages, reading.query, field.question, field.options, field.name)


def _settle(desk: Desk, work: _Work) -> None:
    try:
        work.job = desk.craft.settle(work.job, desk.prompt)
    except Unwritable as error:
        work.reason = str(error)


def _remember(
    desk: Desk, field: Field, works: Sequence[_Work], readings: Sequence[Reading], memory: TextMemory
) -> None:
    """Sets what was accepted for the items before, and what stands before the asks of the others."""
    shelf = Demonstrations(desk, field, memory)
    for work, reading in zip(works, readings, strict=True):
        work.facts["memory"] = memory.examples
        work.accepted = memory.before(reading)
    open_ = [(work, its) for work, its in zip(works, readings, strict=True) if not work.accepted and not work.reason]
    near = shelf.near([reading for _, reading in open_])
    for (work, _), places in zip(open_, near, strict=True):
        try:
            work.shown = shelf.of(work.job, places)
        except (Unwritable, ValueError):
            continue  # its reason is found where it is divided
        work.facts["demonstrations"] = work.shown.labelled


def _divide(desk: Desk, work: _Work, job: Job) -> None:
    """Sets the parts of the work: the job, or windows of its longest passage where it does not fit."""
    work.parts, work.found = [], []
    try:
        longest = max(range(len(job.passages)), key=lambda place: len(job.passages[place][1]))
        name, text = job.passages[longest]
        empty = replace_passage(job, longest, name, "")
        whole, without = desk.writer.sizes([desk.ask_of(work, job), desk.ask_of(work, empty)])
    except Unwritable as error:
        work.reason = str(error)
        return
    except ValueError as error:
        work.reason = f"The prompt {desk.prompt.name} does not serve this field: {error}."
        return
    most = desk.manner_of(
        work, job, desk.measure([job.text])[0]
    ).max_tokens  # by all its passages, as when it is written
    room = desk.writer.room - without - most
    if desk.prompt.window:
        room = min(room, desk.prompt.window)
    if whole - without <= room and desk.prompt.by == "text":
        work.parts = [("", job)]
        return
    if room < asking.LEAST_ROOM:
        work.reason = "What stands beside the text leaves no room for it in the model."
        return
    if desk.craft.merge == "last":
        places = [(windows.tail(text, room, desk.measure), len(text))]
        work.facts["left_out"] = f"the first {places[0][0]} of {len(text)} characters"
    else:
        places = windows.cut(text, room, desk.measure, desk.prompt.by)
    before = 0
    for start, end in places:
        piece = text[start:end]
        inner = piece.strip()
        if inner:
            start += len(piece) - len(piece.lstrip())
            work.parts.append((text[before:start], replace_passage(job, longest, name, inner)))
            before = start + len(inner)
    if len(work.parts) > 1:
        work.facts["windows"] = max(len(work.parts), work.facts.get("windows", 1))
    if len(work.parts) > 1 or desk.craft.merge == "last":
        work.facts["merged"] = _TOLD[desk.craft.merge]


def replace_passage(job: Job, place: int, name: str, text: str) -> Job:
    """The job with another text at one of its passages."""
    return job._replace(passages=(*job.passages[:place], (name, text), *job.passages[place + 1 :]))


def _write(desk: Desk, works: Sequence[_Work]) -> None:
    """Writes all parts of all works, chooses one text for each."""
    asked = [(work, job, desk.ask_of(work, job)) for work in works for _, job in work.parts]
    sizes = desk.measure([job.text for _, job, _ in asked])
    manners = [desk.manner_of(work, job, size) for (work, job, _), size in zip(asked, sizes, strict=True)]
    pools: list[list[Candidate]] = []
    first = _replies(desk, [one[2] for one in asked], manners)
    for (work, job, its_ask), (written, refusal) in zip(asked, first, strict=True):
        if refusal:
            work.faults[refusal] += 1
        pools.append(_candidates(desk, work, job, its_ask, written, desk.prompt.keep_begin))
        pools[-1] += _beside(desk, job, its_ask, pools[-1])
    _write_again(desk, asked, manners, pools)
    for (work, job, its_ask), pool in zip(asked, pools, strict=True):
        most = max((one.worth for one in pool), default=0.0)
        worthy = [one for one in pool if one.worth == most]
        bare = desk.ask_of(work, desk.craft.bare(job)) if desk.prompt.choice == "pointed" else None
        chosen = choosing.choose(worthy, desk.prompt.choice, desk.craft.nearness, desk.writer, its_ask, bare)
        if chosen is None and (other := desk.craft.fallback(job, desk.prompt)):
            chosen = Candidate(other[1], origin=other[0])
        if chosen and (wished := desk.craft.count(job, desk.prompt)) > 1:
            work.facts["texts_wished"] = wished
            chosen = replace(chosen, more=choosing.others(pool, chosen, wished - 1))
        work.found.append(chosen or Candidate(""))
        work.facts["candidates"] = work.facts.get("candidates", 0) + len(pool)


def _replies(desk: Desk, asks: Sequence[Ask], manners: Sequence[Manner]) -> list[tuple[list[Written], str]]:
    """Per ask the replies, in its manner, and why there are none; those of one manner in one call."""
    places: dict[Manner, list[int]] = {}
    for place, manner in enumerate(manners):
        places.setdefault(manner, []).append(place)
    found: dict[int, tuple[list[Written], str]] = {}
    for manner, its in places.items():
        found.update(zip(its, asking.ask_all(desk.writer, [asks[place] for place in its], manner), strict=True))
    return [found[place] for place in range(len(asks))]


def _write_again(
    desk: Desk,
    asked: Sequence[tuple[_Work, Job, Ask]],
    manners: Sequence[Manner],
    pools: Sequence[list[Candidate]],
) -> None:
    """Adds candidates to the pools in which none does all that is wished."""
    more: list[tuple[int, Ask, Manner]] = []
    for place, ((_, job, its_ask), manner, pool) in enumerate(zip(asked, manners, pools, strict=True)):
        best = max(pool, key=lambda one: (one.worth, one.logprob), default=Candidate("", worth=0.0))
        if best.worth == 1:
            continue
        for begun, samples in desk.craft.again(best.text, job, desk.prompt):
            other = its_ask if begun is None else its_ask._replace(begun=begun)
            if desk.writer.sizes([other])[0] + manner.max_tokens <= desk.writer.room:
                more.append((place, other, manner._replace(samples=samples)))
    written = _replies(desk, [its_ask for _, its_ask, _ in more], [manner for _, _, manner in more])
    for (place, its_ask, _), (its, _refusal) in zip(more, written, strict=True):
        work, job, _ = asked[place]
        known = {one.text for one in pools[place]}
        if its_ask.begun != asked[place][2].begun:
            its = [one for one in its if one.text.count(" ") >= LEAST_AFTER]
        keep = desk.prompt.keep_begin or its_ask.begun != asked[place][2].begun
        new = _candidates(desk, work, job, its_ask, its, keep)
        pools[place] += [one for one in new if one.text not in known]


def replace_text(job: Job, text: str) -> Job:
    """The job with a text in place of all its passages."""
    return job._replace(passages=tuple((name, text) for name, _ in job.passages))


def _candidates(
    desk: Desk, work: _Work, job: Job, its_ask: Ask, written: Sequence[Written], keep: bool
) -> list[Candidate]:
    """The worthy ones of the replies to an ask; the faults of the others are counted. ``keep``: the ask's beginning."""
    pool: list[Candidate] = []
    for one in written:
        text = its_ask.begun + one.text if keep else one.text
        if not one.finished:
            text = replies.whole(text)
        text = desk.craft.clean(text, job, desk.prompt)
        text, repairs = desk.craft.repair(text, job, desk.prompt)
        fault = "" if text and text == desk.craft.nothing else replies.fault(text)
        if fault := fault or desk.craft.fault(text, job, desk.prompt):
            work.faults[fault] += 1
            continue
        worth = desk.craft.worth(text, job, desk.prompt)
        told = not math.isnan(one.logprob)  # some servers give none
        likely, tokens = (one.logprob, one.tokens) if told else (0.0, 0)
        candidate = Candidate(text, likely, tokens, one.finished, worth=worth, repairs=repairs)
        if doubt := desk.craft.doubt(candidate, job, desk.prompt):
            work.faults[doubt] += 1
            continue
        pool.append(candidate)
    return pool


def _beside(desk: Desk, job: Job, its_ask: Ask, pool: Sequence[Candidate]) -> list[Candidate]:
    """The worthy candidates that no model wrote, where no reply is sure; judged as replies to the ask, but for a choice
    by consensus."""
    if any(one.logprob >= desk.prompt.sure for one in pool):
        return []
    beside = [one for one in desk.craft.beside(job, desk.prompt) if not desk.craft.fault(one[1], job, desk.prompt)]
    worths = [desk.craft.worth(text, job, desk.prompt) for _, text in beside]
    if desk.prompt.choice == "consensus":
        return [Candidate(text, origin=origin, worth=w) for (origin, text), w in zip(beside, worths, strict=True)]
    if not beside or not choosing.judges(desk.writer):
        return []
    texts = [text for _, text in beside]
    (chances,) = desk.writer.judge([its_ask], [texts])  # type: ignore[attr-defined]
    return [
        Candidate(text, float(chance), size, True, origin, worth)
        for (origin, text), chance, size, worth in zip(beside, chances, desk.measure(texts), worths, strict=True)
    ]


def _merge(desk: Desk, work: _Work, last: bool) -> None:
    """Sets ``written``, or the parts of the next round."""
    parts, found = work.parts, work.found
    kept = [(space, one) for (space, _), one in zip(parts, found, strict=True) if one.text]
    work.parts = []
    if not kept:
        return
    if len(parts) == 1:
        work.written = kept[0][1]
        return
    if missing := len(parts) - len(kept):
        work.facts["windows_without_reply"] = missing
    together = choosing.together([one for _, one in kept])
    if desk.craft.merge == "best":
        work.written = max((one for _, one in kept), key=lambda one: _rank(one, desk.craft.nothing))
    elif desk.craft.merge == "again" and not last:
        work.facts["rounds"] = work.facts.get("rounds", 1) + 1
        _divide(desk, work, replace_text(work.job, "\n".join(one.text for _, one in kept)))
    else:
        joined = "".join((space or "\n") + one.text if place else one.text for place, (space, one) in enumerate(kept))
        text, done = desk.craft.repair(joined, work.job, desk.prompt)  # what each window kept to, all of them may not
        work.written = replace(together, text=text, repairs=done, worth=desk.craft.worth(text, work.job, desk.prompt))


def _rank(one: Candidate, nothing: str) -> tuple[bool, bool, float]:
    """To choose among windows: what the model wrote before what it did not, some text before none."""
    written = one.origin == "written"
    return written and one.text != nothing, written, one.logprob


def _finish(desk: Desk, plan: FieldPlan, work: _Work, reading: Reading) -> Answer:
    name = plan.field.name
    if work.accepted:
        facts = {**work.facts, "origin": "accepted before"}
        return Answer(field=name, labels=(), texts=work.accepted, score=SAME_TEXT, provenance=facts)
    facts = {"windows": 1, "candidates": 0, **work.facts}
    if work.faults:
        facts["refused"] = dict(sorted(work.faults.items()))
    chosen = work.written
    if chosen is None:
        reason = work.reason or f"The model wrote nothing of use ({', '.join(sorted(work.faults))})."
        return Answer(field=name, labels=(), score=0.0, reason=reason, provenance=facts)
    facts["origin"] = chosen.origin
    score = desk.prompt.constants.fallback
    if not chosen.tokens and chosen.origin == "written":
        facts["logprob"], score = None, UNKNOWN * chosen.worth
    elif chosen.tokens:
        facts["logprob"] = round(chosen.logprob, 4)
        score = chance(chosen.logprob, desk.prompt) * chosen.worth
    if chosen.repairs:
        facts["repaired"] = list(chosen.repairs)
    if not chosen.finished:
        facts["stopped"] = "at its greatest length; the last whole sentence is kept"
    texts = (chosen.text, *chosen.more)
    found = Answer(field=name, labels=(), texts=texts, score=rounded(score), provenance=facts)
    return desk.craft.shape(found, plan, reading, desk.prompt)


def chance(logprob: float, prompt: WritingPrompt) -> float:
    """The probability that a text with this mean log-probability per token is right."""
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, prompt.constants.intercept + prompt.constants.slope * logprob))))
