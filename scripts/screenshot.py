"""Takes the README's pictures: a running demo's Data Manager, a pre-annotated task, and the page to watch, in headless
Chromium. The page tells what people did so far, so label some tasks first.

Run while `make demo` is up: .venv/bin/python scripts/screenshot.py [DATA_DIR of the demo]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.demo.browser import signed_in
from labelloop.demo.label_studio import LabelStudioServer
from labelloop.demo.project import find_or_create, read_tasks
from labelloop.errors import LabelLoopError

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]


def close_dialogs(page: Page) -> None:
    """Nothing that greets a new user may lie over the picture."""
    for name in ("Close", "Dismiss", "Got it", "Skip"):
        for button in page.get_by_role("button", name=name, exact=True).all():
            if button.is_visible():
                button.click()


def data_manager(page: Page, url: str, project_id: int, file: Path) -> None:
    """The list of tasks with their scores."""
    page.goto(f"{url}/projects/{project_id}/data")
    page.get_by_text("Label All Tasks").wait_for()
    page.wait_for_load_state("networkidle")
    close_dialogs(page)
    page.screenshot(path=file)


def pre_annotated_task(page: Page, url: str, project_id: int, task_id: int, file: Path) -> None:
    """A task in the editor, filled in."""
    page.set_viewport_size({"width": 1200, "height": 520})
    page.goto(f"{url}/projects/{project_id}/data?task={task_id}")
    page.locator("input[type=checkbox]:checked").first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    close_dialogs(page)
    page.screenshot(path=file)


def page_to_watch(page: Page, studio: LabelStudioServer, project_id: int, file: Path) -> None:
    """What LabelLoop's own page says of the project."""
    (backend,) = studio.request("GET", "/api/ml", params={"project": project_id}).json()
    page.set_viewport_size({"width": 900, "height": 760})
    page.goto(f"{backend['url']}/status")
    page.screenshot(path=file)


def shown(tasks: list[dict[str, Any]]) -> int:
    """The id of the task to show: at the upper quartile of the scores, of those that have every control filled in.

    It illustrates what an annotator sees, not how often the model is right; `labelloop evaluate` tells that.
    """
    most = max(len(task["predictions"][0]["result"]) for task in tasks)
    full = [task for task in tasks if len(task["predictions"][0]["result"]) == most]
    full.sort(key=lambda task: float(task["predictions"][0]["score"]))
    return int(full[len(full) * 3 // 4]["id"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", nargs="?", type=Path, default=Path(".demo"), help="of the running demo")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    try:
        studio = LabelStudioServer.running(options.data_dir / "label-studio")
        project_id = find_or_create(studio)
        with signed_in(studio.url, studio.email, studio.password, size=(1200, 640)) as page:
            options.out.mkdir(parents=True, exist_ok=True)
            data_manager(page, studio.url, project_id, options.out / "data-manager.png")
            task_id = shown(read_tasks(studio, project_id))
            pre_annotated_task(page, studio.url, project_id, task_id, options.out / "pre-annotated-task.png")
            page_to_watch(page, studio, project_id, options.out / "status-page.png")
    except LabelLoopError as error:
        sys.stderr.write(f"{error.message}\n{error.remedy}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
