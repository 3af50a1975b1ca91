"""Debian's Chromium, driven by playwright, and a Tenor of the demo's parts for it to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from service.api.serve import RunningServer
from service.api.tokens import mint
from service.operate.daemon import serve_api
from service.operate.demo import STEP_HOURS, Demo, prepared
from service.store.engine import writing
from service.store.states import Role

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK: ViewportSize = {"width": 1200, "height": 900}
PATIENCE_MS = 30_000
"""How long is waited for what has to happen, on a machine with much else to do."""

PHONE: ViewportSize = {"width": 360, "height": 740}
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Site:
    """A running Tenor: its address, and its parts to make time pass."""

    demo: Demo
    server: RunningServer

    @property
    def url(self) -> str:
        return self.server.url

    def token(self, role: Role, name: str) -> str:
        now = datetime.now(UTC)
        with writing(self.demo.parts.engine) as connection:
            made = mint(
                connection, label=name, role=role, now=now, expires_at=now + timedelta(days=1)
            )
        return made.text

    def pass_time(self, *, steps: int = 1) -> None:
        """Let the clouds and Tenor's own jobs go on."""
        for _ in range(steps):
            self.demo.estate.advance(STEP_HOURS)
            self.demo.executor.heartbeat()
            self.demo.executor.ring_all()


@contextmanager
def running_site(
    folder: Path, *, history_days: int, providers: tuple[str, ...] = ("aws",), seed: int = 7
) -> Iterator[Site]:
    """A demo whose first decision has been made: some was bought, some waits for a person."""
    with prepared(
        seed=seed, port=0, folder=folder, history_days=history_days, providers=providers
    ) as demo:
        demo.executor.heartbeat()
        demo.executor.ring_all()
        server = serve_api(demo.parts, demo.executor.jobs)
        try:
            yield Site(demo, server)
        finally:
            server.stop()
            demo.executor.release()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looking(
    browser: Browser,
    site: Site,
    *,
    size: ViewportSize = DESK,
    dark: bool = False,
    scripts: bool = True,
    may_complain: bool = False,
) -> Iterator[Page]:
    """One page in a fresh profile. Whatever it asks for must be asked of ``site``.

    Nothing may stand in the browser's console, which is where it tells what the content security
    policy kept it from, unless the page ``may_complain``.
    """
    context: BrowserContext = browser.new_context(
        base_url=site.url,
        viewport=size,
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    elsewhere: list[str] = []
    wrong: list[str] = []

    def asked(url: str) -> None:
        if not url.startswith(site.url):
            elsewhere.append(url)

    page.on("request", lambda request: asked(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type == "error" else None,
    )
    try:
        yield page
    finally:
        context.close()
    assert elsewhere == [], "the page asked another server"
    assert may_complain or wrong == [], "the page has an error in the browser's console"


def sign_in(page: Page, token: str) -> None:
    """Fill in the form as a person would."""
    page.goto("/login")
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
