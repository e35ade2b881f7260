"""The console in a real browser: one visit from sign-in to a decision, without a script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

STAID = [sys.executable, "-c", "import sys; from staid.cli import run; sys.exit(run(sys.argv[1:]))"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def staid(*words: str) -> dict[str, Any]:
    """Run one command to its end and return the JSON it printed."""
    done = subprocess.run(
        [*STAID, *words, "--json"], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Any]]:
    """Scaffold a project, let ada ask for a refund, and serve it to the support lead."""
    folder = tmp_path_factory.mktemp("help") / "desk"
    staid("init", str(folder))
    staid("ingest", "--project", str(folder))
    asked = "Please refund 240.00 EUR for order R-1002"
    pending = staid("ask", asked, "--agent", "desk", "--as", "user:ada", "--project", str(folder))
    words = ["serve", "--as", "user:lead", "--port", "0", "--json", "--project", str(folder)]
    process = subprocess.Popen(
        [*STAID, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        announced = json.loads(process.stdout.readline())  # pyright: ignore[reportOptionalMemberAccess]  # a pipe
        yield {**announced, "approval": pending["approvals"][0], "folder": folder}
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_visit_from_sign_in_to_a_decision(
    browser: Any, served: dict[str, Any], tmp_path: Path
) -> None:
    """Sign in, ask, read answer and story, approve: all by plain forms, scripts turned off."""
    browser.without_scripts()
    browser.goto(served["sign_in"])
    assert "user:lead" in browser.text("header")

    browser.fill("#text", "What is your refund policy on annual plans?")
    browser.click("form.ask button")
    assert "answer" in browser.text(".outcome")
    assert "30 days" in browser.text(".citations")
    assert "refunds-annual" in browser.text(".citations")
    browser.screenshot(tmp_path / "answer.png")

    browser.click("section.sheet .line a.button")
    assert "this decided" in browser.text(".story .decided")

    browser.goto(f"{served['url']}/approvals")
    browser.click("tbody a")
    assert "240" in browser.text("table.call")
    assert "said by the asker" in browser.text("table.call")
    assert browser.evaluate("document.activeElement.tagName") == "BODY"
    browser.screenshot(tmp_path / "approval.png")
    browser.click("button[value=approve]")
    assert "approved by user:lead" in browser.text()
    refunds = (served["folder"] / "refunds.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["order_id"] for line in refunds] == ["R-1002"]

    stop_and_start(browser, served)

    browser.goto(served["url"])
    browser.fill("#text", "Do you deliver to Mars on Sundays?")
    browser.click("form.ask button")
    assert "I don't have that information." in browser.text("section.sheet")

    # Nothing was reported: no violation of the policy, no failed load, no warning.
    assert browser.said == []
    assert all(url.startswith(f"{served['url']}/") for url in browser.requested)
    assert (tmp_path / "answer.png").stat().st_size > 10_000

    every_width(browser, served, tmp_path)


def stop_and_start(browser: Any, served: dict[str, Any]) -> None:
    """Stop every tool and let them run again, with the keyboard alone."""
    browser.goto(f"{served['url']}/gates")
    assert "may run" in browser.text("table.tools")
    browser.keys("Tab", until="summary")
    browser.keys("Enter")
    browser.keys("Tab")
    browser.type("the provider is down")
    browser.submit()
    assert browser.text("h1") == "Every tool is stopped"
    assert "the provider is down" in browser.text("section.danger")
    browser.keys("Tab", until="summary")
    browser.keys("Enter")
    browser.keys("Tab")
    browser.submit()
    assert browser.text("h1") == "Gates"


def every_width(browser: Any, served: dict[str, Any], folder: Path) -> None:
    """Look at every page on a telephone and a desk, in both schemes: nothing sticks out."""
    run = re.findall(r"run_\w+", browser.evaluate("document.body.innerHTML"))[0]
    pages = ["/", "/runs", f"/runs/{run}", f"/runs/{run}/story", "/approvals?state=all"]
    for page in [*pages, f"/approvals/{served['approval']}", "/handoffs", "/gates"]:
        browser.goto(served["url"] + page)
        for width in (360, 1280):
            for scheme in ("light", "dark"):
                browser.scheme(scheme)
                name = f"{page.strip('/').replace('/', '-')}-{width}-{scheme}.png".replace("?", "-")
                browser.screenshot(folder / name, width)
                assert not browser.overflows(), (page, width)
                assert browser.evaluate(CONTRAST) >= 4.5, (page, scheme)


CONTRAST = """(() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; }
    return [255, 255, 255]; };
  let least = 21;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
    least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  return least;
})()"""
"""The least contrast of any visible text with its ground, by WCAG's formula; AA asks for 4.5."""
