"""Drive chromium through the web app: `python browsing.py CHROMIUM PORT TOKENS WHAT …`, a process of its own.

The last line is JSON: what was seen. Imports nothing of ours: `.venv/integrations` must not meet our packages.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / ".venv" / "integrations"))

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

DIFFERENT = range(0, 20, 5)


class Visit:
    """A person's window, and what its console said."""

    def __init__(self, browser: Browser, port: int, **how: Any) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.page: Page = browser.new_context(**how).new_page()
        self.console: list[str] = []
        self.page.on("console", lambda said: self.console.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def enter(self, token: str) -> "Visit":
        """With a token."""
        self.page.goto(f"{self.base}/enter?token={token}")
        self.page.wait_for_url(lambda url: url.endswith(("/gallery", "/reviews")))
        return self

    def go(self, path: str) -> Page:
        """A page, when it is quiet."""
        self.page.goto(self.base + path)
        self.page.wait_for_load_state("networkidle")
        return self.page


def begin(visit: Visit, count: int) -> None:
    """A review of the first samples, by the form of the gallery."""
    page = visit.go("/gallery")
    page.locator("details.new-review summary").click()
    page.fill("#new-review input[name=name]", "twenty")
    page.fill("#new-review input[name=count]", str(count))
    page.click("#new-review button")
    page.wait_for_url("**/reviews")


def vote(visit: Visit, name: str, count: int) -> dict[str, Any]:
    """By keys until `count` votes are cast or nothing is left. Bodies that came before a reveal are looked through for prompts."""
    voted, texts, masked = 0, [], []
    page = visit.go("/reviews/twenty")
    while voted < count:
        page.locator("#vote:not([hidden]) #picture[alt='masked picture'], #nothing:not([hidden])").first.wait_for()
        if page.locator("#nothing").is_visible():
            break
        masked.append(page.content())
        number = int(page.locator("#picture").get_attribute("src").split("item=")[1])  # type: ignore[union-attr]
        page.keyboard.press("Space")
        page.locator("#picture[alt='the picture']").wait_for()
        texts.append(page.locator("#words").inner_text())
        unsafe = (number % 2 == 1) != (name == "ben" and number in DIFFERENT)
        for key in ("2", "a") if unsafe else ("1",):
            page.keyboard.press(key)
        with page.expect_response(lambda answer: answer.url.endswith("/next")):
            page.keyboard.press("Enter")
        page.locator("#picture[alt='the picture']").wait_for(state="detached")
        voted += 1
    return {"voted": voted, "leaked": [text for text in texts if any(text in one for one in masked)]}


def look(browser: Browser, port: int, token: str) -> dict[str, Any]:
    """axe on every page by day and by night, and whether a page is wider than a telephone."""
    seen: dict[str, Any] = {"faults": [], "wide": [], "console": [], "pages": 0}
    for scheme, width in (("light", 1280), ("dark", 390)):
        visit = Visit(browser, port, color_scheme=scheme, viewport={"width": width, "height": 900}).enter(token)
        key = visit.page.locator(".tile").first.get_attribute("data-key")
        for path in ("/gallery", f"/sample/{key}", f"/similar/{key}", "/thresholds", "/map", "/reviews", "/audit"):
            page = visit.go(path)
            faults = Axe().run(page).response["violations"]
            seen["faults"] += [
                [path, fault["impact"], fault["id"], fault["nodes"][0]["html"][:120]] for fault in faults
            ]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                seen["wide"].append([path, width])
            seen["pages"] += 1
        seen["console"] += visit.console
    return seen


def main(chromium: str, port: int, tokens: str, what: str, *more: str) -> dict[str, Any]:
    """One errand."""
    token = {person["name"]: person["token"] for person in json.loads(Path(tokens).read_text())["people"]}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if what == "look":
            return look(browser, port, token["lead"])
        if what == "begin":
            answer = Visit(browser, port).page.goto(f"http://127.0.0.1:{port}/gallery")
            visit = Visit(browser, port).enter(token["lead"])
            begin(visit, int(more[0]))
            page = Visit(browser, port).enter(token["anna"]).go("/reviews/twenty")
            faults = [[fault["impact"], fault["id"]] for fault in Axe().run(page).response["violations"]]
            return {"refused": answer and answer.status, "console": visit.console, "faults": faults}
        return vote(Visit(browser, port).enter(token[more[0]]), more[0], int(more[1]))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
