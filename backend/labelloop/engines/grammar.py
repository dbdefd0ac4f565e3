"""Replies that keep to a JSON schema: what each token may be, by xgrammar (Dong et al. 2024)."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from labelloop.engines import Ask
from labelloop.engines.chat import Chat
from labelloop.engines.recent import Recent
from labelloop.errors import ItemError, ModelError


class Grammars:
    """The grammars of the schemas that were used last, for one tokenizer."""

    def __init__(self, tokenizer: Any, chat: Chat, vocabulary: int) -> None:
        self._tokenizer, self._chat, self._vocabulary = tokenizer, chat, vocabulary
        self._compiler: Any = None
        self._compiled: Recent[str, Any] = Recent(32)

    def guides(self, schema: str) -> Callable[[Ask], Guide]:
        """What makes a new reply's guide. A reply keeps to the schema together with what its ask had it begin with.

        Raises:
            ModelError: xgrammar is not installed, or does not take the schema.
        """
        if find_spec("xgrammar") is None:
            raise ModelError(
                "A reply by a schema needs the package xgrammar, which is not installed.",
                "Run `pip install 'labelloop[grammar]'`, or use a prompt without a schema.",
            )
        compiled = self._compiled.get([schema], lambda _: [self._compile(schema)])[0]
        return lambda ask: self._begin(compiled, ask.begun)

    def _compile(self, schema: str) -> Any:
        import xgrammar

        if self._compiler is None:
            told = xgrammar.TokenizerInfo.from_huggingface(
                self._tokenizer, vocab_size=self._vocabulary, stop_token_ids=sorted(self._chat.ends)
            )
            self._compiler = xgrammar.GrammarCompiler(told)
        try:
            json.loads(schema)
            # white space as the model likes would let small ones write nothing else
            return self._compiler.compile_json_schema(schema, any_whitespace=False)
        except (ValueError, RuntimeError) as error:
            first = str(error).strip().split("\n")[0]
            raise ModelError(f"xgrammar does not take the JSON schema: {first}", "Correct the schema.") from error

    def _begin(self, compiled: Any, begun: str) -> Guide:
        import xgrammar

        matcher = xgrammar.GrammarMatcher(compiled)
        if begun and not matcher.accept_string(begun):
            raise ItemError(f"No reply that begins with {begun!r} keeps to the schema.", "Correct one of the two.")
        return Guide(matcher, xgrammar.allocate_token_bitmask(1, self._vocabulary), self._vocabulary)


class Guide:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: Any, bits: torch.Tensor, vocabulary: int) -> None:
        self._matcher, self._bits, self._vocabulary = matcher, bits, vocabulary

    def allowed(self) -> torch.Tensor:
        """(vocabulary,) bool: the tokens that the reply may go on with."""
        self._matcher.fill_next_token_bitmask(self._bits)
        places = torch.arange(32, dtype=torch.int32)
        return ((self._bits[0, :, None] >> places) & 1).bool().flatten()[: self._vocabulary]

    def accept(self, token: int) -> None:
        if not self._matcher.accept_token(token):
            raise RuntimeError(f"token {token} is not in the grammar")  # allowed() is asked before every token
