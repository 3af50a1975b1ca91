"""Times the quickstart: ``python -m tests.web.time_first_purchase``, from clone to a purchase.

Clones this checkout into an empty folder, runs ``make demo`` there, and does in a browser what the
quickstart tells its reader to, as fast as the pages answer. Prints seconds since the beginning.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.browser import chromium

ROOT = Path(__file__).resolve().parents[2]
OPEN = re.compile(r"open (http://\S+)")
TOKEN = re.compile(r"token (tnr_\S+)")
PATIENCE_MS = 120_000

Told = Callable[[str], None]


def _started(demo: subprocess.Popen[str]) -> tuple[str, str]:
    """The address and the token that the demo prints once it answers."""
    seen = ""
    if demo.stdout is not None:
        for line in demo.stdout:
            seen += line
            address, token = OPEN.search(seen), TOKEN.search(seen)
            if address is not None and token is not None:
                return address[1], token[1]
    sys.exit(f"make demo ended before it answered:\n{seen}")


def _follow(page: Page, url: str, token: str, told: Told) -> None:
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(url)
    told("the overview is shown")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    told("signed in")
    waiting = page.locator(".tiles > div.act").get_by_role("link")
    expect(waiting).to_be_visible()
    told("a proposal waits")
    waiting.click()
    page.locator("main table a").first.click()
    expect(page.get_by_role("heading", name="What happens if we wait")).to_be_visible()
    told("the proposal is open, with its hours")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("main .tag").first).to_have_text(re.compile("approved|executed"))
    told("approved")
    expect(page.locator(".notice.good")).to_contain_text("Purchase bought")
    told("the purchase has arrived")


def main() -> int:
    """Do it all and print the times; 0 when the purchase arrived within ten minutes."""
    began = time.monotonic()

    def told(what: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {what}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="tenor-quickstart-") as folder:
        checkout = Path(folder) / "tenor"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        told("cloned")
        demo = subprocess.Popen(
            ["make", "demo"],
            cwd=checkout,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        try:
            url, token = _started(demo)
            told("make demo says that it runs")
            with chromium() as browser:
                context = browser.new_context(viewport={"width": 1200, "height": 900})
                _follow(context.new_page(), url, token, told)
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(timeout=60)
        seconds = time.monotonic() - began
    return 0 if seconds < 600 else 1


if __name__ == "__main__":
    sys.exit(main())
