"""Drives Label Studio's editor in a real browser: opens a task, says what it shows, submits, reads what was stored."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Error, Locator, Page

from labelloop.demo.label_studio import LabelStudioServer
from support.round_trip_cases import Case, Json
from support.waiting import until

VERSION = "v1-aaaaaaaa"

# A page of HyperText lies in a frame of its own.
_MARKED = """() => [document, ...[...document.querySelectorAll('iframe')].map(frame => frame.contentDocument)]
  .flatMap(page => [...(page?.querySelectorAll('.htx-highlight') ?? [])]).map(mark => mark.textContent)"""
_TICKED = "() => [...document.querySelectorAll('.lsf-main-view input:checked')].map(box => box.name)"
_READS = """() => [document.querySelector('.lsf-main-view')?.innerText ?? '',
  ...[...document.querySelectorAll('.lsf-main-view :is(input, textarea)')].map(box => box.value)].join('\\n')"""
_READY = """regions => window.Htx?.annotationStore?.selected?.objects?.every(one => one.isReady !== false)
  && window.Htx.annotationStore.selected.regions.length >= regions"""

_DRAWN = "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def submit_button(page: Page) -> Locator:
    """By the name that Label Studio 1.22 and 1.23 give it, or that releases before did."""
    return page.locator("button[aria-label='Submit current annotation'], button[aria-label=submit]").first


class Editor:
    """The editor of one server in one page of a browser, whose errors it collects."""

    def __init__(self, studio: LabelStudioServer, page: Page) -> None:
        self.studio = studio
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def make(self, case: Case) -> tuple[int, int]:
        """A new project of the case's config and its one task, by id; predictions of VERSION are shown."""
        body = {"title": f"Round trip: {case.name}"[:50], "label_config": case.config, "model_version": VERSION}
        project = int(self.studio.request("POST", "/api/projects/", json=body).json()["id"])
        made = self.studio.request(
            "POST", f"/api/projects/{project}/import?return_task_ids=true", json=[{"data": case.data}]
        )
        return project, int(made.json()["task_ids"][0])

    def open(self, project: int, task: int) -> None:
        self.page.goto("about:blank")  # the task before may be gone, and its page complain while this one loads
        self.errors.clear()
        self.page.goto(f"{self.studio.url}/projects/{project}/data?task={task}")

    def wait_until_ready(self, case: Case) -> None:
        """Waits for the editor to have made a region of each id."""
        ids = {one["id"] for one in case.result if "id" in one}
        self.page.wait_for_function(_READY, arg=len(ids))
        submit_button(self.page).wait_for()
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        """Waits for two frames of the screen, so that what was decided before is on it."""
        self.page.evaluate(_DRAWN)

    def show(self, case: Case) -> None:
        """Waits for everything that the case says to be seen; fails naming the first that is not."""
        self.wait_until_ready(case)
        if case.marked:
            same(self.marked, list(case.marked))
        if case.listed:
            same(lambda: in_order(case.listed, self.listed()), list(case.listed))
        if case.click:
            self.click(case.click)
        if case.ticked:
            same(self.ticked, sorted(case.ticked))
        if case.reads:
            same(lambda: in_order(case.reads, self.read()), list(case.reads))
        for selector in case.seen:
            self.page.locator(selector).first.wait_for(timeout=15_000)

    def click(self, passage: str) -> None:
        """Selects the region that marks a passage."""

        def clicked() -> bool:
            for frame in self.page.frames:
                try:
                    mark = frame.locator(".htx-highlight", has_text=passage).first
                    if mark.count():
                        mark.click(timeout=2_000)
                        return True
                except Error:  # the editor built its frame anew meanwhile
                    return False
            return False

        until(clicked, 15)

    def marked(self) -> list[str]:
        return list(self.page.evaluate(_MARKED))

    def listed(self) -> str:
        """The list of regions in one line."""
        return " ".join(" ".join(self.page.locator("[class*=outliner-item]").all_inner_texts()).split())

    def ticked(self) -> list[str]:
        return sorted(self.page.evaluate(_TICKED))

    def read(self) -> str:
        return str(self.page.evaluate(_READS))

    def press_submit(self) -> None:
        submit_button(self.page).click()

    def dialog(self) -> str:
        """What a dialog over the editor says."""
        return " ".join(self.page.locator("[role=dialog], .ant-modal").all_inner_texts())

    def submit(self, task: int) -> list[Json]:
        """Presses Submit; what is stored as the annotation, without "origin", which says that it was predicted."""
        self.press_submit()
        made = until(lambda: self.annotations(task), 15)
        return [{key: held for key, held in one.items() if key != "origin"} for one in made[0]["result"]]

    def annotations(self, task: int) -> list[dict[str, Any]]:
        return list(self.studio.request("GET", f"/api/tasks/{task}/annotations").json())


def in_order(wanted: tuple[str, ...], text: str) -> list[str]:
    """Those of the wanted texts that follow each other in the text."""
    found, place = [], 0
    for one in wanted:
        at = text.find(one, place)
        if at >= 0:
            found.append(one)
            place = at + len(one)
    return found


def same(look: Any, wanted: list[str]) -> None:
    """Waits until ``look()`` is as wanted; a failure shows both."""
    seen: list[Any] = [None]

    def settled() -> bool:
        try:
            seen[0] = look()
        except Error as error:  # the page is changing under our eyes
            seen[0] = str(error)
        return bool(seen[0] == wanted)

    try:
        until(settled, 15)
    except AssertionError as error:
        raise AssertionError(f"the editor shows {seen[0]}, not {wanted}") from error
