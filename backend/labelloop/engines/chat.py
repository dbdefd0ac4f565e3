"""Asks as a chat model reads them: its chat template around contents that are plain text, whatever they look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from labelloop.engines import Ask
from labelloop.engines.offsets import whole
from labelloop.engines.recent import Recent
from labelloop.errors import ModelError

Ids = tuple[int, ...]
PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% elif message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% else %}Assistant: {{ message['content'] }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For models that have no chat template of their own."""
_PLACE = re.compile("\ue000([0-9]+)\ue001")  # private-use characters, which no template looks at


class Read(NamedTuple):
    """An ask in tokens. ``fixed``: how many of them stand before the last message's content: the part that asks of one
    kind have in common."""

    ids: Ids
    fixed: int


class Chat:
    """A model's chat template. ``ends``: the tokens that end a reply; ``end``: the one that stands behind a reply that
    is given; ``stop``: strings that end it as well."""

    def __init__(self, tokenizer: Any, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self.has_template = bool(tokenizer.chat_template)
        self.stop = () if self.has_template else ("\nUser:",)
        added = [token.content for token in tokenizer.added_tokens_decoder.values() if len(token.content) > 1]
        self._special = re.compile("|".join(map(re.escape, sorted(added, key=len, reverse=True)))) if added else None
        self._frames: Recent[tuple[tuple[str, ...], str], list[str]] = Recent(64)
        self._read: Recent[Ask, Read] = Recent(512)
        behind = self._behind_a_reply()
        self.ends = ends | ({behind} if behind is not None else set())
        if not self.ends:
            raise ModelError("The model's files name no token that ends a reply.", "Choose an instruct model.")
        self.end = behind if behind is not None else min(self.ends)

    def read(self, asks: Sequence[Ask]) -> list[Read]:
        """Each ask up to where the reply goes on.

        Raises:
            ModelError: the model's template does not take the order of the messages.
        """
        return self._read.get(asks, lambda new: [self._read_one(ask) for ask in new])

    def plain(self, text: str) -> list[int]:
        """The tokens of a text, in which special tokens are the characters that they look like."""
        return self.located(text)[0]

    def located(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a text as ``plain``, and the character behind each. What looks like a special token is torn
        behind its first character."""
        read, cuts = whole(text), [0]
        cuts += [found.start() + 1 for found in self._special.finditer(read)] if self._special else []
        ids: list[int] = []
        ends: list[int] = []
        for start, end in zip(cuts, [*cuts[1:], len(read)], strict=True):
            if start < end:
                encoded = self._encode(read[start:end], return_offsets_mapping=True)
                ids += encoded["input_ids"]
                ends += [start + right for _, right in encoded["offset_mapping"]]
        return ids, ends

    def text(self, ids: Sequence[int]) -> str:
        """What tokens of a reply say."""
        told: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return told

    def _encode(self, text: str, **also: Any) -> Any:
        # verbose=False: the tokenizer would warn of what is longer than the model's context.
        return self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False, **also)

    def _framed(self, text: str) -> list[int]:
        """Tokens of the template's own text, special ones included."""
        ids: list[int] = self._encode(text)["input_ids"]
        return ids

    def _read_one(self, ask: Ask) -> Read:
        pieces = self._frame(tuple(role for role, _ in ask.messages))
        ids: list[int] = []
        fixed = 0
        for place, piece in enumerate(pieces):
            if place % 2:
                fixed = len(ids) if int(piece) == len(ask.messages) - 1 else fixed
                ids += self.plain(ask.messages[int(piece)][1])
            elif piece:
                ids += self._framed(piece)
        return Read((*ids, *(self.plain(ask.begun) if ask.begun else ())), fixed)

    def _frame(self, roles: tuple[str, ...], behind: str = "") -> list[str]:
        """The template's text, and at odd places the number of the message whose content stands there."""
        return self._frames.get([(roles, behind)], lambda _: [_PLACE.split(self._render(roles, not behind))])[0]

    def _render(self, roles: Sequence[str], goes_on: bool) -> str:
        from jinja2 import TemplateError

        messages = [{"role": role, "content": f"\ue000{index}\ue001"} for index, role in enumerate(roles)]
        try:
            return self._apply(messages, goes_on)
        except TemplateError as error:
            first = str(error).strip().split("\n")[0]
            if len(messages) > 1 and messages[0]["role"] == "system" and messages[1]["role"] == "user":
                # some templates have no system role: what it says then begins the first turn
                opening = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
                try:
                    return self._apply([opening, *messages[2:]], goes_on)
                except TemplateError as still:
                    first = str(still).strip().split("\n")[0]
        raise ModelError(
            f"The model's chat template refuses messages of the roles {', '.join(roles)}: {first}",
            "Use a prompt whose roles alternate, or choose another model.",
        )

    def _apply(self, messages: list[dict[str, str]], goes_on: bool) -> str:
        told: str = self._tokenizer.apply_chat_template(
            messages,
            chat_template=None if self.has_template else PLAIN,
            tokenize=False,
            add_generation_prompt=goes_on,
            enable_thinking=False,  # models that think aloud would do so before every reply
        )
        return told

    def _behind_a_reply(self) -> int | None:
        """The special token that the template puts behind a reply; None where there is none."""
        if not self.has_template:
            return None
        ids = self._framed(self._frame(("user", "assistant"), "end")[-1])
        return ids[0] if ids and ids[0] in self._tokenizer.all_special_ids else None
