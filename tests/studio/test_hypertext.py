"""Pages as browsers and the editor see them: what is read, and the path and offsets of each part of it."""

import random

import pytest

from labelloop.demo.browser import find_chromium
from labelloop.errors import UnavailableError
from labelloop.studio.hypertext import HyperText
from labelloop.studio.markup import html_to_text
from labelloop.studio.sanitizer import sanitize
from studio.strategies import TAGS


def place(html: str, words: str = "Ada", inline: bool = False) -> tuple[str, int, str, int, int, int] | None:
    """Start path and offset, end path and offset, global start and end of the last occurrence of ``words``."""
    found = HyperText(html, inline)
    start = found.text.rindex(words)
    value = found.value(start, start + len(words))
    if value is None:
        return None
    whole = value["globalOffsets"]
    return value["start"], value["startOffset"], value["end"], value["endOffset"], whole["start"], whole["end"]


@pytest.mark.parametrize(
    ("html", "path", "offsets"),
    [
        ("Ada", "/text()[1]", (0, 3, 0, 3)),
        ("<p>one <b>Ada</b></p>", "/p[1]/b[1]/text()[1]", (0, 3, 4, 7)),
        ("<P>😀 one Ada", "/p[1]/text()[1]", (7, 10, 6, 9)),
        ("<p>one <!-- c --> Ada", "/p[1]/text()[1]", (5, 8, 5, 8)),
        ("<p>a<![CDATA[ x ]]>Ada", "/p[1]/text()[1]", (1, 4, 1, 4)),
        ("<p>one<p>Ada", "/p[2]/text()[1]", (0, 3, 3, 6)),
        ("one<br>two<br/>Ada", "/text()[3]", (0, 3, 8, 11)),
        ("<table><tr><td>Ada</td></tr></table>", "/table[1]/tbody[1]/tr[1]/td[1]/text()[1]", (0, 3, 0, 3)),
        ("<p>a</p> <p>Ada", "/p[2]/text()[1]", (0, 3, 2, 5)),
        ("<p>a\r\n&copy; Ada", "/p[1]/text()[1]", (4, 7, 4, 7)),
        ("a<script>x</script>b Ada", "/text()[1]", (3, 6, 3, 6)),
        ("a<style>b{}</style>Ada", "/text()[2]", (0, 3, 4, 7)),
        (" \n <p>Ada", "/p[1]/text()[1]", (0, 3, 0, 3)),
        ("<!doctype html><html><head><title>T</title></head><body>\n<p>one Ada", "/p[1]/text()[1]", (4, 7, 5, 8)),
        ("<b>one <i>two</b> Ada</i>", "/text()[1]", (1, 4, 8, 11)),
        ("<pre>\n  Ada", "/pre[1]/text()[1]", (2, 5, 2, 5)),
    ],
)
def test_a_part_of_a_page_has_a_path_and_offsets(html: str, path: str, offsets: tuple[int, int, int, int]) -> None:
    start, end, first, last = offsets
    assert place(html) == (path, start, path, end, first, last)


def test_a_title_counts_only_in_the_editors_own_page() -> None:
    html = "<html><head><title>T</title></head><body><p>Ada"
    assert place(html) == ("/p[1]/text()[1]", 0, "/p[1]/text()[1]", 3, 0, 3)
    assert place(html, inline=True) == ("/p[1]/text()[1]", 0, "/p[1]/text()[1]", 3, 1, 4)


def test_a_part_may_go_across_elements() -> None:
    assert place("<p>Ada <b>Love</b>lace", "Ada Lovelace") == ("/p[1]/text()[1]", 0, "/p[1]/text()[2]", 4, 0, 12)


def test_white_space_that_stands_for_markup_is_no_place() -> None:
    found = HyperText("<p>Ada</p><p>met</p>")
    assert found.text == "Ada\nmet"
    assert found.value(0, 4) is None and found.value(3, 7) is None and found.value(3, 4) is None
    assert found.value(0, 7) is not None


@pytest.mark.parametrize("between", ["", " ", "\n\t", "&nbsp;"])
def test_cells_are_parted_by_tabs(between: str) -> None:
    html = f"<table><tr><td>Ada <th>Bob{between}<td><i>1</i>{between}</td>{between}</tr><tr><td></td><td>2</table> x"
    found = HyperText(html)
    assert found.text == html_to_text(html) == "Ada\tBob\t1\n2\nx"
    assert found.value(0, 4) is None and found.value(3, 7) is None
    bob = found.value(4, 7)
    assert bob is not None and found.span(bob) == (4, 7)


def test_a_path_that_is_not_there_falls_back_to_global_offsets() -> None:
    found = HyperText("<p>one Ada")
    wrong = {"start": "/p[9]/text()[1]", "end": "/p[9]/text()[1]", "startOffset": 0, "endOffset": 3}
    assert found.span(wrong) is None
    assert found.span({**wrong, "globalOffsets": {"start": 4, "end": 7}}) == (4, 7)
    past = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 4, "endOffset": 99}
    assert found.span({**past, "globalOffsets": {"start": 4, "end": 7}}) is None


def test_blanks_collapse_as_on_the_screen_and_positions_do_not() -> None:
    found = HyperText("<p>  Ada \n\t met   Bob </p>")
    assert found.text == "Ada met Bob"
    assert found.span({"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 1, "endOffset": 12}) == (
        0,
        7,
    )


@pytest.mark.parametrize(
    "html",
    [
        "<h1>Title</h1><p>One <b>bo</b>ld &lt;word&gt;&nbsp;here<br/>next</p><ul><li>a<li>b</ul>",
        "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table><pre>  keep\n   this</pre>tail &eacute;",
        "<div>a<div>b</div>c</div><script>no</script><style>no</style>",
        "",
        "  ",
    ],
)
def test_the_text_is_that_which_models_read_elsewhere(html: str) -> None:
    assert HyperText(html).text == html_to_text(html)


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<!",
        "<!--",
        "</",
        "&",
        "<script>",
        "<div>",
        "<b><p>x",
        "<a href='",
        "<table><tr><td>",
        "a<br>",
        "</p>",
        "<i>x</b>",
        "<svg><path/>",
        "😀 <b>x</b>",
        "<title>",
        "< ",
        "<a/ ",
        "<font size=2><i>",
        "&#",
    ],
)
def test_hostile_markup_costs_time_in_proportion(piece: str) -> None:
    found = HyperText((piece * 200_000)[:200_000])  # quadratic work would run into the suite's time limit
    if found.text:
        found.value(len(found.text) - 1, len(found.text))


def test_what_browsers_show_otherwise_has_a_text_and_no_positions() -> None:
    deep = HyperText("<div>" * 1_000 + "Ada" + "</div>" * 1_000)
    assert deep.text == "Ada" and deep.value(0, 3) is None
    long = HyperText("<p>" + "word " * 20_000)
    assert long.text.startswith("word word") and long.value(0, 4) is None
    assert long.span({"globalOffsets": {"start": 0, "end": 4}}) is None


_WALK = """async (pages) => {
  const all = [];
  for (const [html, inline] of pages) {
    let root;
    if (inline) {
      root = document.createElement("div");
      document.body.appendChild(root);
      root.innerHTML = html;
    } else {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-same-origin allow-scripts allow-presentation";
      frame.srcdoc = html;
      await new Promise((done) => { frame.onload = done; document.body.appendChild(frame); });
      root = frame.contentDocument.body;
    }
    const found = [];
    let place = 0;
    const walk = (node, path) => {
      const counts = {};
      for (const child of node.childNodes) {
        const name = child.nodeType === 3 ? "text()" : child.nodeName.toLowerCase();
        counts[name] = (counts[name] || 0) + 1;
        const here = `${path}/${name}[${counts[name]}]`;
        if (child.nodeType === 3) {
          found.push([here, place, child.data]);
          place += [...child.data].length;
        } else {
          place += child.nodeName === "BR" ? 1 : 0;
          walk(child, here);
        }
      }
    };
    walk(root, "");
    all.push(found);
    document.body.innerHTML = "";
  }
  return all;
}"""


@pytest.mark.browser
def test_a_real_browser_has_the_same_text_nodes_at_the_same_places() -> None:
    from playwright.sync_api import sync_playwright

    try:
        chromium = find_chromium()
    except UnavailableError as error:
        pytest.skip(str(error))
    dice = random.Random(5)
    parts = [f"<{name}>" for name in TAGS] + [f"</{name}>" for name in TAGS]
    parts += ["Ada", " ", "\n", "😀", "&amp;", "&#13;", "<br>", "<!-- c -->", "a < b", "\r\n", "<hr>", "&nosuch;", "<>"]
    pages = [("".join(dice.choices(parts, k=dice.randint(1, 14))), dice.random() < 0.3) for _ in range(150)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page()
        page.set_content("<!DOCTYPE html><body></body>")
        seen = page.evaluate(_WALK, [[sanitize(html), inline] for html, inline in pages])
        browser.close()
    for (html, inline), nodes in zip(pages, seen, strict=True):
        assert [list(node) for node in HyperText(html, inline).nodes()] == nodes, html
