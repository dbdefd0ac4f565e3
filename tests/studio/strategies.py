"""Random label configs and random answers to them."""

import math

from hypothesis import strategies as st
from lxml import etree

from labelloop.words import Answer, Field

WORDS = st.text(
    alphabet=st.characters(
        min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="$\x7f", exclude_categories=["C"]
    ),
    min_size=1,
    max_size=12,
)
PROBABILITIES = st.floats(0, 1)


def _element(tag: str, attributes: dict[str, str], children: tuple[str, ...] = ()) -> str:
    node = etree.Element(tag, attributes)
    for child in children:
        node.append(etree.fromstring(child))
    return etree.tostring(node, encoding="unicode")


def _tree(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    attributes = st.fixed_dictionaries({"value": words}, optional={"alias": words, "hint": WORDS})
    leaf = st.builds(lambda found: _element("Choice", found), attributes)
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            lambda found, children: _element("Choice", found, tuple(children)), attributes, st.lists(inner, max_size=3)
        ),
        max_leaves=6,
    )


def _conditions() -> st.SearchStrategy[dict[str, str]]:
    names = {"visibleWhen": st.sampled_from(["choice-selected", "choice-unselected", "no-region-selected"])}
    more = {"whenTagName": st.sampled_from(["c0", "c1", "c2", "text"]), "whenChoiceValue": WORDS}
    return st.fixed_dictionaries(names, optional=more)


@st.composite
def configs(draw: st.DrawFn) -> str:
    """A label config of one to four controls over a text and a page."""
    controls = []
    for number in range(draw(st.integers(1, 4))):
        attributes = {"name": f"c{number}", "toName": draw(st.sampled_from(["text", "page", "text,page"]))}
        attributes |= draw(st.just({}) | _conditions())
        kind = draw(st.sampled_from(["Choices", "Taxonomy", "Rating", "Number"]))
        children: tuple[str, ...] = ()
        if kind in {"Choices", "Taxonomy"}:
            children = tuple(draw(st.lists(_tree(WORDS), min_size=1, max_size=5)))
        if kind == "Choices":
            attributes |= draw(st.fixed_dictionaries({}, optional={"choice": st.sampled_from(["single", "multiple"])}))
            attributes |= draw(st.fixed_dictionaries({}, optional={"allowNested": st.sampled_from(["true", "false"])}))
        elif kind == "Taxonomy":
            attributes |= draw(st.fixed_dictionaries({}, optional={"leafsOnly": st.sampled_from(["true", "false"])}))
            attributes |= draw(st.fixed_dictionaries({}, optional={"maxUsages": st.just("1")}))
        elif kind == "Rating":
            attributes["maxRating"] = str(draw(st.integers(2, 10)))
        else:
            low = draw(st.integers(-5, 5))
            step = draw(st.sampled_from(["1", "0.5", "0.1", "3"]))
            attributes |= {"min": str(low), "max": str(low + 1), "step": step}
        controls.append(_element(kind, attributes, children))
    return f'<View><Text name="text" value="$t"/><HyperText name="page" value="$h"/>{"".join(controls)}</View>'


@st.composite
def answers(draw: st.DrawFn, fields: tuple[Field, ...]) -> list[Answer]:
    """An answer per field, or none, or one with a reason."""
    found = []
    for field in fields:
        kind = draw(st.sampled_from(["answer", "answer", "answer", "reason", "none"]))
        if kind == "reason":
            found.append(Answer(field=field.name, labels=(), score=0.0, reason="too long"))
        elif kind == "answer":
            most = min(4, len(field.labels)) if field.multiple else 1
            chosen = draw(
                st.lists(st.sampled_from(field.labels), unique=True, min_size=0 if field.multiple else 1, max_size=most)
            )
            score = draw(PROBABILITIES)
            found.append(Answer(field=field.name, labels=tuple(label.path for label in chosen), score=score))
    return found


GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.just(math.nan)
    | st.sampled_from(["c0", "c1", "text", "page", "choices", "taxonomy", "rating", "number", "\ud800", "", "v1"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["result", "score", "id", "from_name", "to_name", "type", "value", "model_version", "rating"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
