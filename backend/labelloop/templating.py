"""Templates of prompts, rendered in Jinja2's sandbox: values go in as text and never as a template; size and loops are
bounded. What a template may use is a short list, since prompts come from people who do not own the machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST_TEMPLATE = 20_000  # characters
LONGEST = 2_000_000  # characters of a rendered text
FILTERS = frozenset({"trim", "upper", "lower", "title", "capitalize", "join", "length", "default", "first", "last"})
TESTS = frozenset({"defined", "undefined", "none", "equalto", "eq", "ne", "in"})
_LOOP = frozenset({"first", "last", "index", "index0", "length"})
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.CondExpr),
    *(nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat),
    *(nodes.Getattr, nodes.Getitem, nodes.Tuple, nodes.List, nodes.Keyword),
)

Value = str | int | Mapping[str, str] | Sequence[str]
"""What a template may be given."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Names reach the entries of mappings and lists and nothing else: no attribute of any object but a loop's place."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


_SANDBOX = _Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, trim_blocks=True)
_SANDBOX.globals.clear()


def _join(value: Any, by: str = "") -> str:
    """As Jinja2's, but refused before it is too long: a text joined by itself grows with its square."""
    texts = list(map(str, value))
    if sum(map(len, texts)) + len(str(by)) * max(0, len(texts) - 1) > LONGEST:
        raise ValueError(f"the prompt grows beyond {LONGEST} characters")
    return str(by).join(texts)


_SANDBOX.filters["join"] = _join


def check(template: str, known: Collection[str], lists: Collection[str] = ()) -> str:
    """The template as it came, if it may be rendered.

    Args:
        known: the variables that it may use. lists: those of them that a loop may go over.

    Raises:
        ValueError: it is no template, uses what is not allowed, or a variable that is not known; says which are.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise ValueError(f"a template has at most {LONGEST_TEMPLATE} characters")
    try:
        tree = _SANDBOX.parse(template)
        if unknown := _unknown(tree, frozenset(known), frozenset(lists)):
            raise ValueError(f"unknown variables {sorted(unknown)}; known: {', '.join(sorted(known))}")
        _compiled(template)  # comes last: it computes what is constant, of any size
    except (TemplateError, RecursionError) as error:
        raise ValueError(f"{template[:80]!r} is no template: {error or 'it is nested too deeply'}") from None
    return template


def _unknown(node: nodes.Node, known: frozenset[str], lists: frozenset[str]) -> set[str]:
    """The variables in a node that are not known. Raises ValueError where it or a part of it is not listed above."""
    if not isinstance(node, _NODES):
        raise ValueError(f"a template may not use {type(node).__name__.lower()}; it may use values, if and for")
    if isinstance(node, nodes.For):
        if not isinstance(node.iter, nodes.Name) or node.iter.name not in lists or node.recursive:
            raise ValueError(f"a loop goes over one of {sorted(lists)}, and no loop stands in another")
        if not isinstance(node.target, nodes.Name) or node.target.name in known:
            raise ValueError("what a loop goes by is one name that stands for nothing else")
        known, lists = known | {node.target.name, "loop"}, frozenset()
        children = (*node.body, *node.else_, *([node.test] if node.test else ()))
        return set().union(*(_unknown(child, known, lists) for child in children))
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise ValueError(f"there is no filter {node.name!r} here; known: {', '.join(sorted(FILTERS))}")
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise ValueError(f"there is no test {node.name!r} here; known: {', '.join(sorted(TESTS))}")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise ValueError(f"a template may not reach {node.attr!r}")
    if isinstance(node, nodes.Name) and node.name not in known:
        return {node.name}
    return set().union(*(_unknown(child, known, lists) for child in node.iter_child_nodes()))


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _SANDBOX.from_string(template)


def fill(template: str, values: Mapping[str, Value]) -> str:
    """The rendered text, without space at its ends.

    >>> fill("Text: {{ text }}", {"text": "{{ 1 }}"})
    'Text: {{ 1 }}'

    Args:
        template: one that ``check`` let pass.

    Raises:
        ValueError: it needs a value that is not there, or grows beyond ``LONGEST`` characters.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in _compiled(template).generate(dict(values)):
            size += len(part)
            if size > LONGEST:
                raise ValueError(f"the prompt grows beyond {LONGEST} characters")
            parts.append(part)
    except (TemplateError, TypeError) as error:
        raise ValueError(f"the prompt cannot be filled: {error}") from None
    return "".join(parts).strip()
