"""What the prompt file of a written kind is like, and how an ask is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field as Key
from pydantic import model_validator

from labelloop.engines import Ask
from labelloop.prompting import Phrases, PromptFile, Strict
from labelloop.templating import Value, check, fill

COMMON = ("text", "passages", "query", "question", "instruction", "options")
"""Variables of every written kind. ``text``: all that the field reads, in its order. ``passages``: the same by its
objects' names. ``query``: the text of its question objects. ``question``: the words that stand with the control.
``instruction``: what its owner says is to be done. ``options``: all named wishes, by name."""

Values = Mapping[str, Value]


class Job(NamedTuple):
    """What is to be written about: an item as templates see it, before its kind adds values of its own.

    ``passages``: (name, text) in order. ``options``: as ``Field.options``. ``name``: the field's.
    """

    passages: tuple[tuple[str, str], ...]
    query: str = ""
    question: str = ""
    options: tuple[tuple[str, str], ...] = ()
    name: str = ""

    @property
    def text(self) -> str:
        return "\n\n".join(text.strip() for _, text in self.passages if text.strip())

    def option(self, name: str, default: str = "") -> str:
        """The value of an option, without space around it."""
        return dict(self.options).get(name, default).strip()

    @property
    def values(self) -> dict[str, Value]:
        """The common variables."""
        return {
            "text": self.text,
            "passages": dict(self.passages),
            "query": self.query.strip(),
            "question": self.question.strip(),
            "instruction": self.option("instruction"),
            "options": dict(self.options),
        }


class Demonstration(Strict):
    """An ask with its reply, shown before the real one. ``text`` or ``passages``, ``query`` and ``options`` are what a
    ``Job`` has. Written for the prompt: never a row of somebody's data."""

    text: str = ""
    passages: dict[str, str] = {}
    query: str = ""
    options: dict[str, str] = {}
    reply: Annotated[str, Key(min_length=1)]

    @property
    def job(self) -> Job:
        passages = tuple(self.passages.items()) or (("text", self.text),)
        return Job(passages, self.query, "", tuple(sorted(self.options.items())))


class Length(Strict):
    """Most tokens of a reply: ``least``, and ``per_token`` for each token of the text, up to ``most``."""

    least: int = Key(16, ge=1)
    per_token: float = Key(0, ge=0)
    most: int = Key(128, ge=1)

    def of(self, tokens: int) -> int:
        """Rounded up to a multiple of 32, so that asks of about one size are written together."""
        wanted = min(self.most, self.least + int(self.per_token * tokens))
        return -(-wanted // 32) * 32


class Constants(Strict):
    """From a reply's mean log-probability per token to the probability that it is right: the logistic function of
    ``intercept`` + ``slope`` * log-probability. ``fallback``: that of a text that no model wrote."""

    slope: float = Key(ge=0)
    intercept: float
    fallback: float = Key(0.05, ge=0, le=1)


class WritingPrompt(PromptFile):
    """A prompt file of a written kind; a kind's own model adds keys, and names its variables in ``variables``.

    ``system``, ``user``, ``begin``: templates of what is told beforehand, of the ask, and of the reply's beginning,
    which is part of the answer only with ``keep_begin``.
    ``demonstrations``: at most ``shown`` of those that suit an ask are shown before it. ``window``: most tokens of the
    text that are read at once; 0: as many as the model takes. ``by``: whether each line or each sentence of it is a
    window of its own. ``choice``: which of the ``samples`` candidates is taken: the "likeliest" per token, that nearest
    to all others ("consensus": minimum Bayes risk, Eikema and Aziz 2020), or that which the text makes likelier than it
    is without it ("pointed": mutual information, Li et al. 2016; needs an engine that judges, elsewhere it is
    "consensus"). ``sure``: from which mean log-probability on a reply needs no other help than the model's.
    ``lead_ins``: how replies begin that say what they are before they say it ("Here is the summary:").
    """

    variables: ClassVar[frozenset[str]] = frozenset()
    lists: ClassVar[frozenset[str]] = frozenset({"passages"})

    system: str = ""
    user: Annotated[str, Key(min_length=1)]
    begin: str = ""
    keep_begin: bool = False
    demonstrations: tuple[Demonstration, ...] = ()
    shown: int = Key(8, ge=0)
    length: Length = Length()
    window: int = Key(0, ge=0)
    by: Literal["text", "line", "sentence"] = "text"
    stop: Annotated[tuple[Annotated[str, Key(min_length=1)], ...], Key(max_length=4)] = ()
    samples: int = Key(1, ge=1, le=32)
    temperature: float = Key(0.7, gt=0, le=2)
    choice: Literal["likeliest", "consensus", "pointed"] = "likeliest"
    sure: float = Key(0, le=0)
    lead_ins: Phrases | tuple[()] = ()
    constants: Constants

    @model_validator(mode="after")
    def _templates_are_safe(self) -> Self:
        for key in ("system", "user", "begin"):
            try:
                check(getattr(self, key), {*COMMON, *self.variables}, self.lists)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return self


def ask(prompt: WritingPrompt, values: Values, shown: Sequence[tuple[Values, str]] = ()) -> Ask:
    """The ask of some values, behind the demonstrations ``shown`` (values, reply).

    Raises:
        ValueError: the prompt needs a value that is not there, such as a passage of another name.
    """
    turns: list[tuple[str, str]] = []
    if system := fill(prompt.system, values):
        turns.append(("system", system))
    for its, reply in shown:
        begun = fill(prompt.begin, its)
        turns += [("user", fill(prompt.user, its)), ("assistant", begun + behind(begun, reply))]
    turns.append(("user", fill(prompt.user, values)))
    return Ask(tuple(turns), fill(prompt.begin, values))


def behind(begun: str, reply: str) -> str:
    """The reply as it goes on from its beginning."""
    return " " + reply if begun and reply[0].isalnum() else reply  # but "def f(x)" goes on with ":"
