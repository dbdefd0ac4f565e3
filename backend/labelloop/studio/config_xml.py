"""How a label config is read safely: no document type, no entities, no network, a limit on its size."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from labelloop.errors import ConfigError

MAX_BYTES = 1_048_576

# A document type can stand only before the root element, after declarations, comments and blanks.
_DOCTYPE = re.compile(r"\ufeff?(?:<\?.*?\?>|<!--.*?-->|\s)*+<!DOCTYPE", re.DOTALL)
_REMEDY = "Open the project's Settings > Labeling Interface > Code and correct it there."


def parse(label_config: str) -> Any:
    """The root element (lxml) of a label config.

    Raises:
        ConfigError: too large, with a document type, malformed, or without <View> around it; says where.
    """
    raw = label_config.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"The label config is {len(raw):,} bytes; at most {MAX_BYTES:,} are read.", _REMEDY)
    if not label_config.strip():
        raise ConfigError("The label config is empty.", _REMEDY)
    if _DOCTYPE.match(label_config):  # before the parser sees it: entities in attributes would be expanded
        raise ConfigError("The label config has a document type (<!DOCTYPE ...>), which is refused.", _REMEDY)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise ConfigError(f"The label config is not XML, line {line}, column {column}: {error.msg}.", _REMEDY) from None
    if tag(root) != "view":
        raise ConfigError(f"The label config must begin with <View>, not {place(root)}.", _REMEDY)
    return root


def tag(node: Any) -> str:
    """The tag's name in lower case, as Label Studio's editor compares it."""
    return str(etree.QName(node).localname).lower() if isinstance(node.tag, str) else ""


def attr(node: Any, name: str, default: str = "") -> str:
    """An attribute, whatever the case of its name, as in Label Studio's editor."""
    found = node.get(name)
    if found is None:
        lowered = name.lower()
        found = next((value for key, value in node.attrib.items() if key.lower() == lowered), None)
    return default if found is None else str(found)


def flag(node: Any, name: str) -> bool:
    """The editor takes exactly "true" for true."""
    return attr(node, name) == "true"


def value(node: Any) -> str:
    """The ``value`` attribute; else the text between the tags, which the editor takes for it."""
    return attr(node, "value") or ((node.text or "").strip() if not len(node) else "")


def place(node: Any) -> str:
    """Where a tag without a name is: "<Choices> in line 5"."""
    return f"<{node.tag}> in line {node.sourceline}"
