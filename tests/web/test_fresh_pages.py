"""Open pages keep themselves fresh in a real browser, and leave their reader in peace."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from service.store.engine import writing
from service.store.halt import set_halt
from tests.web.browser import Site, looking

_NUMBERS = count(1)
HEARD = """() => {
  const told = document.documentElement.dataset;
  told.heard = 0;
  document.addEventListener("htmx:sseMessage", () => { told.heard = 1 + Number(told.heard); });
}"""


class Watched:
    """A page of which is known what it asked the server for to keep itself fresh."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page, self._site = page, site
        self.refreshes = 0
        self.lines = 0
        page.on("request", self._count)

    def _count(self, request: Request) -> None:
        self.refreshes += request.headers.get("hx-request") == "true"
        self.lines += "/live?" in request.url

    def open(self, path: str, *, every: str = "60m") -> None:
        """Open ``path``, which asks by itself only so often: what it asks else, it was told to."""

        def rarely(route: Route) -> None:
            answer = route.fetch()
            assert "every 15s" in answer.text()
            route.fulfill(
                response=answer, body=answer.text().replace("every 15s", f"every {every}")
            )

        self.page.route(f"**{path}", rarely, times=1)
        with self.page.expect_response("**/live?since=*"):
            self.page.goto(path)
        self.page.evaluate(HEARD)

    def happens(self) -> str:
        """Something that the overview shows: buying is halted for a reason of its own."""
        reason = f"reason {next(_NUMBERS)}"
        clock = self._site.demo.parts.clock
        with writing(self._site.demo.parts.engine) as connection:
            set_halt(connection, halted=False, by="test", reason="another", now=clock.now())
            set_halt(connection, halted=True, by="test", reason=reason, now=clock.now())
        return reason

    def is_told(self) -> str:
        """Something happens, and the page has heard that it did."""
        told = self.page.locator("html")
        before = int(told.get_attribute("data-heard") or 0)
        reason = self.happens()
        expect(told).to_have_attribute("data-heard", str(before + 1))
        return reason


@pytest.fixture
def moving(site: Site) -> Iterator[Site]:
    """A site where things happen; it may buy again once nobody looks any more."""
    yield site
    now = site.demo.parts.clock.now()
    with writing(site.demo.parts.engine) as connection:
        set_halt(connection, halted=False, by="test", reason="over", now=now)


@pytest.fixture
def watched(browser: Browser, moving: Site) -> Iterator[Watched]:
    with looking(browser, moving) as page:
        yield Watched(page, moving)


@pytest.fixture
def loud(browser: Browser, moving: Site) -> Iterator[Watched]:
    """A page that does not reach its server, or is left while it asks: browsers write that down."""
    with looking(browser, moving, may_complain=True) as page:
        yield Watched(page, moving)


def test_a_page_is_told_asks_once_and_changes_only_what_differs(watched: Watched) -> None:
    page = watched.page
    watched.open("/")
    page.evaluate("document.querySelector('#purchases').kept = true")
    scrolled = page.locator("main .scroll").first
    scrolled.focus()
    for _ in range(3):
        expect(page.locator("main")).to_contain_text(watched.is_told())
    assert page.evaluate("document.querySelector('#purchases').kept")
    expect(scrolled).to_be_focused()
    assert (watched.refreshes, watched.lines) == (3, 1)
    expect(page.locator("footer time")).to_have_count(1)


def test_a_page_asks_every_so_often_though_nothing_happened(loud: Watched) -> None:
    loud.open("/commitments", every="100ms")
    for _ in range(2):
        with loud.page.expect_response("**/commitments"):
            pass


def test_a_page_that_was_made_before_something_happened_hears_of_it(watched: Watched) -> None:
    page = watched.page
    reasons = []

    def late(route: Route) -> None:
        reasons.append(watched.happens())
        route.continue_()

    page.route("**/live?since=*", late, times=1)
    page.goto("/")
    expect(page.locator("main")).to_contain_text("reason")
    assert reasons[0] in page.locator("main").inner_text()


FORM = """document.querySelector("main").insertAdjacentHTML("beforeend",
  '<form><label>Why <textarea id="typed"></textarea></label></form>')"""


def test_a_form_that_is_used_or_half_filled_is_left_alone_and_what_was_missed_is_made_up(
    watched: Watched,
) -> None:
    page = watched.page
    watched.open("/")
    page.evaluate(FORM)
    typed = page.locator("#typed")
    typed.focus()
    watched.is_told()
    typed.fill("the bill looks")
    typed.blur()
    reason = watched.is_told()
    assert watched.refreshes == 0
    expect(typed).to_have_value("the bill looks")
    typed.fill("")
    typed.blur()
    expect(page.locator("main")).to_contain_text(reason)
    expect(typed).to_have_count(0)
    assert watched.refreshes == 1


def test_what_is_typed_while_the_page_is_on_its_way_is_not_lost(watched: Watched) -> None:
    page = watched.page
    watched.open("/")
    page.evaluate(FORM)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/", hold, times=1)
    with page.expect_request(lambda request: request.headers.get("hx-request") == "true"):
        reason = watched.happens()
    page.locator("#typed").fill("the bill")
    with page.expect_response("**/"):
        held[0].continue_()
    expect(page.locator("main.htmx-request")).to_have_count(0)
    expect(page.locator("#typed")).to_have_value("the bill")
    assert reason not in page.locator("main").inner_text()


def test_open_details_and_hidden_pages_wait(watched: Watched) -> None:
    page = watched.page
    watched.open("/commitments")
    page.get_by_text("The ladder in numbers").click()
    watched.is_told()
    assert watched.refreshes == 0
    with page.expect_response("**/commitments"):
        page.get_by_text("The ladder in numbers").click()
    assert watched.refreshes == 1
    show = """hidden => {
      Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(show, arg=True)
    watched.is_told()
    assert watched.refreshes == 1
    with page.expect_response("**/commitments"):
        page.evaluate(show, arg=False)


def test_a_page_says_when_it_is_stale_and_when_it_no_longer_is(loud: Watched) -> None:
    page = loud.page
    loud.open("/")
    page.route("**/", lambda route: route.abort())
    reason = loud.is_told()
    expect(page.locator("body.stale")).to_have_count(1)
    assert reason not in page.locator("main").inner_text()
    page.unroute("**/")
    expect(page.locator("main")).to_contain_text(loud.is_told())
    expect(page.locator("body.stale")).to_have_count(0)


def attacked(browser: Browser, site: Site, html: str) -> None:
    with looking(browser, site) as page:
        page.goto("/login")
        with page.expect_console_message():
            page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", html)


@pytest.mark.parametrize(
    "html", ['<p style="color: red">', "<img src=x onerror=alert(1)>"], ids=["style", "handler"]
)
def test_the_browser_would_tell_what_the_policy_kept_it_from(
    browser: Browser, site: Site, html: str
) -> None:
    with pytest.raises(AssertionError, match="console"):
        attacked(browser, site, html)
