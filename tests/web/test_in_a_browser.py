"""The pages in a real browser: read, sign off, see the purchase arrive; also without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import func, select

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.ids import ClientToken, IntentId
from service.purchase.lifecycle import Word
from service.purchase.written_alterations import ask, withdraw
from service.store import holdings, schema
from service.store.engine import reading, writing
from service.store.states import Role
from tests.web.browser import AXE, DESK, PHONE, Site, looking, sign_in


@pytest.fixture(scope="session")
def token(site: Site) -> str:
    return site.token(Role.OPERATOR, "Ada Lovelace")


@pytest.fixture
def page(browser: Browser, site: Site, token: str) -> Iterator[Page]:
    with looking(browser, site) as opened:
        sign_in(opened, token)
        yield opened


def pages(site: Site) -> list[str]:
    """Every kind of page, by an address that is there; a proposal in each state."""
    with reading(site.demo.parts.engine) as connection:
        table = schema.proposals.c
        proposals = connection.execute(
            select(func.min(table.proposal_id)).group_by(table.state)
        ).scalars()
        plan = connection.execute(select(schema.plans.c.plan_id)).scalars()
        return [
            *(f"/proposals/{proposal}" for proposal in proposals),
            *("/", "/proposals", "/commitments", "/cycles"),
            *(f"/plans/{plan.first()}", "/policy", "/audit", "/alerts", "/halt", "/docs"),
            "/login",
        ]


@contextmanager
def waiting_alteration(site: Site) -> Iterator[str]:
    """The address of a return that waits for a person; taken back afterwards."""
    now = site.demo.parts.clock.now()
    with writing(site.demo.parts.engine) as connection:
        item = holdings.inventory(connection)[0]
        order = AlterationOrder(
            intent=IntentId(f"looked-at-{uuid4()}"),
            token=ClientToken(f"looked-at-{uuid4()}"),
            alteration=AlterationKind.RETURN,
            account=item.commitment.account,
            kind=item.kind,
            sources=(item.commitment.commitment,),
            targets=(),
            most_to_pay_usd=Decimal(0),
        )
        asked = ask(
            connection,
            order,
            provider="aws",
            run="undo",
            reason="the usage that it was bought for is gone",
            expires_at=now + timedelta(days=2),
            now=now,
        )
    assert asked is not None
    yield f"/alterations/{order.intent}"
    with writing(site.demo.parts.engine) as connection:
        withdraw(connection, asked, rule="looked at", detail="", word=Word.PERSON, now=now)


def violations(page: Page) -> list[str]:
    """What axe objects to on the page as it stands."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in result["violations"]]


UNSEEN = """() => document.querySelectorAll('details').forEach(one => { one.open = true; }) ||
  [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), textarea, select, summary, [tabindex]:not(main)')]
  .filter(one => one.getClientRects().length)
  .filter(one => {
    one.focus();
    return document.activeElement !== one || one.tabIndex !== 0 ||
      getComputedStyle(one).outlineStyle === 'none';
  })
  .map(one => one.outerHTML.slice(0, 120))"""


def out_of_reach(page: Page) -> list[str]:
    """What on the page a keyboard does not reach in its order, or without showing where it is."""
    page.keyboard.press("Tab")  # from here on the browser shows where the focus is
    found: list[str] = page.evaluate(UNSEEN)
    return found


def proposal_to_decide(page: Page) -> str:
    """Open the first proposal that waits; its address."""
    page.goto("/proposals?state=waiting")
    page.locator("main table a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Proposal:")
    return page.url


def test_a_reader_signs_in_reads_a_proposal_approves_it_and_sees_the_purchase_arrive(
    page: Page, site: Site
) -> None:
    waiting = page.locator(".tiles > div", has_text="Waiting for sign-off")
    expect(waiting).to_contain_text("proposals")
    waiting.get_by_role("link").click()
    page.locator("main table a").first.click()

    main = page.locator("main")
    for words in ("The downside", "What happens if we wait", "What the policy says", "Why"):
        expect(main).to_contain_text(words)
    week = page.get_by_role("img", name=re.compile("typical week"))
    expect(week).to_be_visible()
    drawn = week.bounding_box()
    assert drawn is not None
    assert drawn["width"] > 600
    expect(page.get_by_role("img", name=re.compile("Every hour from"))).to_be_visible()

    page.get_by_label("Comment (kept in the ledger)").fill("agreed with the platform team")
    page.get_by_role("button", name="Approve").click()
    expect(main).to_contain_text("Decided by Ada Lovelace")
    expect(main.get_by_role("status")).to_contain_text("Approved. It is bought as soon as")

    # Nobody loads the page again: it is told.
    site.pass_time()
    arrived = main.locator(".notice.good")
    expect(arrived).to_contain_text("Purchase bought")
    commitment = arrived.locator("code").inner_text()
    page.goto("/commitments")
    expect(page.get_by_role("group", name="Commitments")).to_contain_text(commitment)
    page.goto("/audit?kind=proposal.approved")
    expect(page.locator("main")).to_contain_text("agreed with the platform team")
    expect(page.locator("main")).to_contain_text("The chain is whole")


def test_a_part_is_approved_without_any_script(browser: Browser, site: Site, token: str) -> None:
    with looking(browser, site, scripts=False) as page:
        sign_in(page, token)
        proposal_to_decide(page)
        expect(page.get_by_role("img", name=re.compile("typical week"))).to_be_visible()
        whole = page.get_by_label("How much").get_attribute("placeholder") or ""
        part = f"{float(whole) / 2:.3f}"
        page.get_by_label("How much").fill(part)
        page.get_by_role("button", name="Approve").click()
        main = page.locator("main")
        expect(main).to_contain_text("Decided by Ada Lovelace")
        expect(main).to_contain_text(f"of {whole} that the plan wanted")
        site.pass_time()
        page.reload()
        expect(main.locator(".notice.good")).to_contain_text("Purchase bought")


def test_a_proposal_is_rejected_with_a_reason_on_a_phone(
    browser: Browser, site: Site, token: str
) -> None:
    with looking(browser, site, size=PHONE) as page:
        sign_in(page, token)
        proposal_to_decide(page)
        page.get_by_role("button", name="Reject").click()
        # The browser itself asks for the reason.
        expect(page.get_by_role("heading", name="Decide")).to_be_visible()
        page.get_by_label("Reason (kept in the ledger)").fill("we leave this region in May")
        page.get_by_role("button", name="Reject").click()
        main = page.locator("main")
        expect(main).to_contain_text("we leave this region in May")
        expect(main).to_contain_text("not proposed again before")


def test_what_waits_is_withdrawn_and_then_offers_no_form(page: Page) -> None:
    proposal_to_decide(page)
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("main .tag").first).to_have_text("withdrawn")
    expect(page.locator("main form")).to_have_count(0)


def test_buying_is_halted_and_resumed_only_after_a_word_of_confirmation(page: Page) -> None:
    page.goto("/halt")
    page.get_by_label("Why (kept in the ledger)").fill("the bill looks odd")
    page.get_by_role("button", name="Halt all buying").click()
    expect(page.locator(".notice")).to_contain_text("Buying is not halted")
    page.get_by_label("Stop all buying").check()
    page.get_by_role("button", name="Halt all buying").click()
    expect(page.locator(".notice")).to_contain_text("Buying is halted by Ada Lovelace")
    page.goto("/")
    expect(page.get_by_role("status").first).to_contain_text("the bill looks odd")
    page.goto("/halt")
    page.get_by_label("Why (kept in the ledger)").fill("it was ours")
    page.get_by_label("Let Tenor buy again").check()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".notice")).to_contain_text("Buying is not halted")


def test_a_dry_change_of_the_policy_shows_its_effect_and_stores_nothing(page: Page) -> None:
    page.goto("/policy")
    text = page.get_by_label(re.compile("An edited policy"))
    policy = text.input_value()
    assert "mode: autopilot" in policy
    page.get_by_role("button", name="Show its effect").click()
    expect(page.get_by_role("status")).to_contain_text("0 of ")
    text.fill(policy.replace("mode: autopilot", "mode: observe", 1))
    page.get_by_role("button", name="Show its effect").click()
    effect = page.get_by_role("group", name="Effect on the newest decision")
    expect(effect.locator("tr.changed").first).to_contain_text("refuse")
    assert violations(page) == []
    text.fill(policy.replace("max_break_even_months", "max_breakeven_months"))
    page.get_by_role("button", name="Show its effect").click()
    expect(page.get_by_role("alert")).to_contain_text("not a policy that can be read")
    page.goto("/policy")
    expect(page.get_by_role("group", name="The policy's text")).to_contain_text("mode: autopilot")
    expect(page.get_by_label(re.compile("An edited policy"))).to_have_value(policy)


def test_nothing_keeps_people_out_of_any_page_nor_is_one_wider_than_the_screen(
    browser: Browser, site: Site, token: str
) -> None:
    found = {}
    with waiting_alteration(site) as alteration, looking(browser, site) as page:
        sign_in(page, token)
        for path in (alteration, *pages(site)):
            page.emulate_media(color_scheme="light")
            page.set_viewport_size(DESK)
            page.goto(path)
            problems = [*violations(page), *out_of_reach(page)]
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size(PHONE)
            problems += [*violations(page), *out_of_reach(page)]
            if problems:
                found[path] = problems
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["width"], (path, wide)
    assert found == {}


def test_a_field_without_a_label_and_a_link_out_of_reach_would_be_found(
    browser: Browser, site: Site, token: str
) -> None:
    with looking(browser, site) as page:
        sign_in(page, token)
        page.goto("/halt")
        assert out_of_reach(page) == []
        page.evaluate("document.querySelector('nav a').tabIndex = -1")
        assert len(out_of_reach(page)) == 1
        page.evaluate("document.querySelector('label[for=reason]').remove()")
        assert any(one.startswith("label:") for one in violations(page))


def test_everything_is_reached_by_keyboard_with_the_focus_in_sight(page: Page) -> None:
    page.goto("/proposals?state=waiting")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        outline = focused.evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline != "none", focused.evaluate("element => element.outerHTML")
        reached.add(focused.evaluate("element => element.tagName.toLowerCase()"))
    assert "a" in reached
    proposal_to_decide(page)
    page.get_by_label("How much").focus()
    for expected in ("Comment (kept in the ledger)",):
        page.keyboard.press("Tab")
        expect(page.get_by_label(expected)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()


def test_a_page_that_is_read_without_scripts_refreshes_itself(browser: Browser, site: Site) -> None:
    with looking(browser, site, scripts=False) as page:
        page.goto("/")
        expect(page.locator("noscript meta, meta[http-equiv=refresh]").first).to_have_count(1)
        expect(page.locator("main")).to_contain_text("Latest purchases")
