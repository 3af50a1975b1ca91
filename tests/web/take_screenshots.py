"""Takes the pictures of the quickstart: ``python -m tests.web.take_screenshots [FOLDER]``.

They are of the demo on three clouds after its first decision. Run it again when pages change.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from service.observe.log import configure_logging
from service.store.states import Role
from tests.web.browser import PHONE, chromium, looking, running_site, sign_in

DOCS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
PROVIDERS = ("aws", "azure", "gcp")
BYTES_MAX = 200_000
SIZE: ViewportSize = {"width": 1100, "height": 860}
STEPS_BEFORE = 29
"""Quarter days until the second decision, whose report shows what the first purchases did."""

STEPS_AFTER = 14


def _open_proposal(page: Page) -> None:
    page.goto("/proposals?state=waiting")
    page.locator("main table a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Proposal:")


def take(folder: Path) -> list[Path]:
    """Write the pictures to ``folder``; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Path] = []

    def picture(page: Page, name: str, *, from_heading: str | None = None) -> None:
        if from_heading is not None:
            page.evaluate("id => document.getElementById(id).scrollIntoView()", from_heading)
        path = folder / f"{name}.png"
        page.screenshot(path=path, scale="css")
        taken.append(path)

    with (
        tempfile.TemporaryDirectory(prefix="tenor-screenshots-") as scratch,
        running_site(Path(scratch) / "demo", history_days=120, providers=PROVIDERS) as site,
        chromium() as browser,
    ):
        site.pass_time(steps=STEPS_BEFORE)
        token = site.token(Role.OPERATOR, "you, in the demo")
        with looking(browser, site, size=SIZE) as page:
            sign_in(page, token)
            picture(page, "overview")
            _open_proposal(page)
            picture(page, "proposal")
            picture(page, "proposal-hours", from_heading="hours")
            page.get_by_label("Comment (kept in the ledger)").fill("agreed")
            page.get_by_role("button", name="Approve").click()
            site.pass_time()
            expect(page.locator(".notice.good")).to_contain_text("Purchase bought")
            picture(page, "bought")
        with looking(browser, site, size=PHONE) as page:
            sign_in(page, token)
            _open_proposal(page)
            picture(page, "proposal-phone")
        # Usage of the second decision's purchases is known by then.
        site.pass_time(steps=STEPS_AFTER)
        with looking(browser, site, size=SIZE, dark=True) as page:
            sign_in(page, token)
            page.goto("/commitments")
            picture(page, "commitments", from_heading="all")
    return taken


def main() -> int:
    """Take them all, and say how large they are; 1 when one is too large for the repository."""
    configure_logging("ERROR")
    taken = take(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
    sizes = {path.name: path.stat().st_size for path in taken}
    for name, size in sizes.items():
        sys.stdout.write(f"{name}: {size} bytes\n")
    return 1 if max(sizes.values()) > BYTES_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
