"""Takes pictures of pre-annotated tasks in Label Studio's editor: one per tag, from the cases of the round-trip test,
and of what LabelLoop itself says: entities and relations that it finds, texts that it writes.

.venv/bin/python scripts/round_trip_screenshots.py [--only NAME] (starts a Label Studio of its own and stops it)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from labelloop.demo.browser import signed_in  # noqa: E402
from labelloop.demo.label_studio import LabelStudioServer  # noqa: E402
from labelloop.errors import LabelLoopError  # noqa: E402
from labelloop.studio.client import StudioClient  # noqa: E402
from support.editor import VERSION, Editor  # noqa: E402
from support.round_trip import CASES  # noqa: E402
from support.round_trip_cases import Case  # noqa: E402
from support.running import running_beside  # noqa: E402
from support.structure import PEOPLE, Sample  # noqa: E402
from support.written import WRITTEN  # noqa: E402

OWN = {"entities-and-relations": PEOPLE, "written": WRITTEN}
SIZE = (900, 800)
LEAST = 90  # pixels
# What says nothing about a tag: the list of tasks, the bars above and below the task, the lists of regions.
_OTHERS = ".lsf-label-view__table, .lsf-menu-header, .lsf-topbar, .lsf-sidepanels__wrapper, .lsf-bottombar"
_BOTTOM = """view => Math.max(...[...view.querySelectorAll('*')].filter(one => !one.children.length)
  .map(one => one.getBoundingClientRect()).filter(box => box.height).map(box => box.bottom))"""


def take(editor: Editor, studio: StudioClient, case: Case, file: Path) -> None:
    """Opens a task of the case, waits until it shows what is predicted, and writes the picture."""
    project, task = editor.make(case)
    prediction = {"task": task, "result": case.result, "score": 0.5, "model_version": VERSION}
    if case.posted:
        studio.add_prediction(prediction)
    else:
        studio.import_predictions(project, [prediction])
    photograph(editor, project, task, case, file)


def take_own(editor: Editor, sample: Sample, folder: Path, file: Path) -> None:
    """The same of a prediction that LabelLoop makes, which is started for it and stopped."""
    item = sample.items[0]
    case = Case(sample.name, sample.config, item.data, [], **(item.seen or {}))
    with running_beside(editor.studio, folder) as running:
        project, task = editor.make(case)
        progress = running.preannotate(running.connect(project))
        if progress.done != 1:
            raise LabelLoopError(f"No prediction was stored: {progress}.")
        photograph(editor, project, task, case, file)


def photograph(editor: Editor, project: int, task: int, case: Case, file: Path) -> None:
    page = editor.page
    editor.open(project, task)
    page.wait_for_load_state("networkidle")  # then nothing is faded any more
    editor.show(case)
    page.add_style_tag(content=f"{_OTHERS} {{ display: none !important }}")
    page.mouse.move(SIZE[0] - 1, SIZE[1] - 1)
    editor.wait_until_drawn()
    bottom = page.locator(".lsf-main-view").evaluate(_BOTTOM)
    page.screenshot(path=file, clip={"x": 0, "y": 0, "width": SIZE[0], "height": max(LEAST, round(bottom) + 30)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "tags")
    parser.add_argument("--only", help="the name of one picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [case for case in CASES if case.picture and options.only in {None, case.picture}]
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            LabelStudioServer(Path(folder)) as server,
            StudioClient(server.url, server.token) as studio,
            signed_in(server.url, server.email, server.password, size=SIZE) as page,
        ):
            editor = Editor(server, page)
            for case in wanted:
                take(editor, studio, case, options.out / f"{case.picture}.png")
            for name, sample in OWN.items():
                if options.only in {None, name}:
                    take_own(editor, sample, Path(folder) / name, options.out.parent / f"{name}.png")
    except LabelLoopError as error:
        sys.stderr.write(f"{error.message}\n{error.remedy}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
