"""Charts are read with a pointer and with the keyboard; without scripts their picture is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service.store.engine import writing
from service.store.halt import set_halt
from tests.web.browser import DESK, PHONE, Site, looking

PATIENCE = 600
AMOUNT = re.compile(r"\$\d+\.\d\d")


def open_proposal(page: Page) -> None:
    page.goto("/proposals?state=waiting")
    page.locator("main table a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Proposal:")


def told(plot: Locator, when: str) -> list[str]:
    """The amounts that the chart tells of the instant under the cursor, which begins so."""
    values = plot.locator(".u-legend .u-value")
    expect(values.first).to_have_text(re.compile(f"^{when}"))
    return values.all_inner_texts()[1:]


@pytest.fixture
def proposal(browser: Browser, site: Site) -> Iterator[Page]:
    with looking(browser, site) as page:
        open_proposal(page)
        yield page


def test_a_pointer_reads_a_chart_zooms_into_it_and_out_again(proposal: Page) -> None:
    plot = proposal.locator("#plot-week")
    over = plot.locator(".u-over")
    over.scroll_into_view_if_needed()
    expect(plot.locator("> svg")).to_be_hidden()
    assert set(told(plot, "–")) == {"–"}
    box = over.bounding_box()
    assert box is not None
    middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    left = box["x"] + 2
    proposal.mouse.move(middle, height)
    amounts = told(plot, "Thu ")
    assert len(amounts) == 5
    assert all(AMOUNT.match(amount) for amount in amounts)
    owned, proposed, demand, usage = (float(one[1:-2]) for one in amounts[:4])
    assert owned + proposed + demand == pytest.approx(usage, abs=0.001)

    proposal.mouse.move(left, height)
    told(plot, "Mon ")
    proposal.mouse.move(middle, height)
    proposal.mouse.down()
    proposal.mouse.move(middle + box["width"] / 4, height, steps=3)
    proposal.mouse.up()
    proposal.mouse.move(left, height)
    told(plot, "Thu ")
    proposal.mouse.dblclick(left, height)
    proposal.mouse.move(left + 1, height)
    told(plot, "Mon ")


def test_the_arrow_keys_read_a_chart_and_programs_that_read_aloud_are_told_its_sum(
    proposal: Page,
) -> None:
    chart = proposal.get_by_role("img", name=re.compile("typical week"))
    expect(chart).to_have_count(1)
    chart.focus()
    proposal.keyboard.press("ArrowRight")
    proposal.keyboard.press("ArrowRight")
    told(chart, "Mon 01:00")
    proposal.keyboard.press("ArrowLeft")
    proposal.keyboard.press("ArrowLeft")
    told(chart, "Mon 00:00")
    expect(chart).to_be_focused()


def test_a_chart_is_as_wide_as_there_is_room_and_takes_the_colours_of_the_page(
    proposal: Page,
) -> None:
    chart = proposal.locator("#plot-hours .uplot canvas")
    wide = chart.bounding_box()
    pixel = """canvas => {
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let sum = 0;
      for (const one of data) sum += one;
      return sum;
    }"""
    light = chart.evaluate(pixel)
    proposal.emulate_media(color_scheme="dark")
    for _ in range(PATIENCE):
        if chart.evaluate(pixel) != light:
            break
        proposal.wait_for_timeout(50)
    assert chart.evaluate(pixel) != light
    proposal.set_viewport_size(PHONE)
    assert wide is not None
    assert wide["width"] > DESK["width"] / 2
    expect(chart).not_to_have_css("width", f"{wide['width']:g}px")
    assert proposal.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_refresh_leaves_a_chart_of_the_same_numbers_and_draws_one_of_others(
    browser: Browser, site: Site
) -> None:
    parts = site.demo.parts
    with looking(browser, site) as page:
        with page.expect_response("**/live?since=*"):
            page.goto("/")
        chart = page.locator("#plot-ladder .uplot")
        chart.scroll_into_view_if_needed()
        drawn = chart.locator(".u-over").bounding_box()
        assert drawn is not None
        page.mouse.move(drawn["x"] + 0.95 * drawn["width"], drawn["y"] + 10)
        # It runs until it ends, however near that is.
        assert told(chart, "20") != ["$0.00/h"]
        for as_before, change in ((True, ""), (False, "plot.dataset.plot += ' ';")):
            page.evaluate(
                f"""() => {{
                  const plot = document.querySelector("#plot-ladder");
                  plot.querySelector(".uplot").dataset.drawn = "before";
                  {change}
                }}"""
            )
            with page.expect_response(f"{site.url}/"), writing(parts.engine) as connection:
                now = parts.clock.now()
                set_halt(connection, halted=True, by="test", reason="so", now=now)
                set_halt(connection, halted=False, by="test", reason="not for long", now=now)
            expect(page.locator("main.htmx-request, main.htmx-settling")).to_have_count(0)
            expect(chart).to_have_count(1)
            assert (chart.get_attribute("data-drawn") == "before") is as_before


def test_without_scripts_the_picture_and_its_numbers_are_there(
    browser: Browser, site: Site
) -> None:
    with looking(browser, site, scripts=False) as page:
        open_proposal(page)
        expect(page.get_by_role("img", name=re.compile("typical week"))).to_be_visible()
        expect(page.locator(".uplot")).to_have_count(0)
        page.get_by_text("The typical week in numbers").click()
        expect(page.get_by_role("group", name="The typical week in numbers")).to_contain_text("Mon")
