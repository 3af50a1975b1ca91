import hashlib
import json
import re
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.domain.commitments import Kind
from service.domain.ids import CommitmentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion
from service.domain.purchases import IntentState
from service.domain.wording import KIND_NAMES
from service.store import holdings
from service.store.engine import writing
from service.store.states import Role
from service.web.render import STATIC, TEMPLATES
from tests.api.figures import add_report, add_usage
from tests.api.world import NOW, World, add_proposals, add_purchase, listed, make_world

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """What a browser would see: balanced elements, links, forms, labels, scripts."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def addresses(self) -> list[str]:
        names = ("href", "src", "action", "srcset", "data", "poster", "formaction")
        return [str(attrs[name]) for _, attrs in self.elements for name in names if attrs.get(name)]


def fill(world: World, *, reason: str = "steady use for ninety days") -> str:
    add_usage(world)
    add_report(world)
    add_purchase(world, 1)
    add_purchase(world, 2, state=IntentState.UNKNOWN)
    (proposal,) = add_proposals(world, 3, reason=reason)
    return proposal.proposal


def paths(proposal: str) -> list[str]:
    return [
        *("/", "/proposals", f"/proposals/{proposal}", "/commitments", "/cycles", "/plans/plan-3"),
        *("/policy", "/audit", "/alerts", "/halt", "/docs", "/login", "/no-such-page"),
    ]


@pytest.fixture
def reader(world: World) -> TestClient:
    return world.signed_in(world.token(Role.OPERATOR))


def test_every_page_is_sound_html_with_one_heading_and_a_label_for_each_field(
    world: World, reader: TestClient
) -> None:
    for path in paths(fill(world)):
        answer = reader.get(path)
        assert answer.status_code == (404 if path == "/no-such-page" else 200), path
        assert answer.headers["content-type"].startswith("text/html")
        page = Page(answer.text)
        assert page.open == [], path
        assert len(page.all("h1")) == 1
        assert len(page.all("main")) == 1
        assert page.all("html")[0]["lang"] == "en"
        ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
        assert len(ids) == len(set(ids)), path
        labelled = {attrs.get("for") for attrs in page.all("label")}
        for field in (*page.all("input"), *page.all("textarea")):
            if field.get("type") not in {"hidden", "checkbox"}:
                assert field.get("id") in labelled, (path, field)
        for picture in page.all("svg"):
            assert picture.get("aria-label") or picture["aria-hidden"] == "true", path
        assert len(page.all("caption")) == len(page.all("table")), path
        assert all(header.get("scope") for header in page.all("th")), path


def test_no_page_asks_for_anything_from_elsewhere_or_runs_anything_inline(
    world: World, reader: TestClient
) -> None:
    for path in paths(fill(world)):
        page = Page(reader.get(path).text)
        for address in page.addresses():
            assert address.startswith(("/", "#")), (path, address)
            assert not address.startswith("//"), (path, address)
        for script in page.all("script"):
            assert script.get("src"), path
        for tag, attrs in page.elements:
            assert tag not in {"style", "iframe", "object", "embed", "base"}, path
            assert not [name for name in attrs if name == "style" or name.startswith("on")], path


def test_no_file_of_the_pages_names_another_server() -> None:
    # What others wrote is kept as published, comments and all; a browser sees what it asks for.
    ours = [path for path in (*STATIC.iterdir(), *TEMPLATES.iterdir()) if path.is_file()]
    assert len(ours) > 20
    for path in ours:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text)
        assert [name for name in named if name != "http://www.w3.org/2000/svg"] == [], path.name


def test_what_others_wrote_is_kept_as_it_was_published() -> None:
    folder = STATIC / "vendor"
    table = re.findall(
        r"^\| (\S+) \| \S+ \| [\d.]+ \| \w[^|]* \| ([0-9a-f]{64}) \|$",
        (folder / "README.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "README.md"}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()} == dict(
        table
    )


def test_whatever_the_store_holds_is_shown_as_text(world: World) -> None:
    proposal = fill(world, reason=ATTACK)
    client = world.signed_in(world.token(Role.OPERATOR, label=ATTACK))
    csrf = re.findall(r'name="csrf" value="(\w+)"', client.get("/halt").text)[0]
    form = {"csrf": csrf, "reason": ATTACK, "confirmed": "yes"}
    assert client.post("/halt/set", data=form).status_code == 200
    shown = 0
    for path in [*paths(proposal), f"/audit?kind={ATTACK[:60]}", f"/login?next=/{ATTACK}"]:
        html = client.get(path).text
        assert "<script>alert" not in html, path
        assert "<img" not in html, path
        assert Page(html).open == []
        shown += "&lt;script&gt;alert" in html
    assert shown >= 5


def test_the_overview_shows_the_first_purchase_with_its_amount_and_time(engine: Engine) -> None:
    world = make_world(engine)
    client = world.signed_in(world.token(Role.VIEWER))
    assert "Nothing has been bought yet" in client.get("/").text
    add_purchase(world)
    html = client.get("/").text
    assert "Nothing has been bought yet" not in html
    assert "sp-00000001" in html
    assert "$1.25/h" in html
    assert 'datetime="2026-03-02T09:30:00Z"' in html
    assert "AWS Compute Savings Plan" in html


def test_the_overview_tells_mode_data_age_next_run_rates_and_what_waits(
    world: World, reader: TestClient
) -> None:
    fill(world)
    html = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reader.get("/").text))
    for words in (
        "Mode copilot",
        "Halt not halted",
        "Usage data, AWS 50.5 h old",
        "21.3 %",
        "70.0 %",
        "99.0 %",
        "12 months",
        "Waiting for sign-off 1 proposal",
        "next expires in 2 d 0 h",
        "promised $100.00",
        "realised $90.00",
        "Purchases whose outcome is not known yet",
        "No process holds the executor's lease",
        "Next decision due now 2026-03-02 06:00 Z",
    ):
        assert words.replace("'", "&#39;") in html or words in html, words


def test_the_overview_keeps_itself_fresh_with_and_without_scripts(reader: TestClient) -> None:
    page = Page(reader.get("/proposals?state=waiting").text)
    assert {"http-equiv": "refresh", "content": "15"} in page.all("meta")
    (main,) = page.all("main")
    assert main["hx-get"] == "/proposals?state=waiting"
    assert main["sse-connect"] == "/live?since=0"
    (config,) = [one for one in page.all("meta") if one.get("name") == "htmx-config"]
    asked = json.loads(str(config["content"]))
    assert not asked["allowEval"]
    assert not asked["allowScriptTags"]
    assert not asked["includeIndicatorStyles"]
    assert asked["selfRequestsOnly"]
    assert asked["historyCacheSize"] == 0
    for path in ("/", "/proposals", "/halt"):
        page = Page(reader.get(path).text)
        for asset in (*page.all("script"), *page.all("link")):
            answer = reader.get(str(asset.get("src") or asset["href"]))
            assert answer.status_code == 200, asset
            assert len(page.all("script")) == {"/": 6, "/proposals": 4, "/halt": 0}[path]


def test_a_page_that_refreshes_itself_is_sent_to_sign_in_as_a_whole(world: World) -> None:
    asked = {"HX-Request": "true", "Accept": "*/*"}
    answer = world.client().get("/proposals?state=waiting", headers=asked, follow_redirects=False)
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"] == "/login?next=/proposals%3Fstate%3Dwaiting"


def test_pages_are_not_kept_by_caches(reader: TestClient) -> None:
    assert reader.get("/").headers["cache-control"] == "no-store"


def test_a_proposal_shows_why_how_much_and_the_downside(world: World, reader: TestClient) -> None:
    proposal = fill(world)
    html = reader.get(f"/proposals/{proposal}").text
    for words in (
        "steady use for ninety days",
        "$10,950.00",
        "$0.40",
        "−$0.10",
        "−$876.00",
        "97.0 %",
    ):
        assert words in html, words
    assert "25 USD/h" in html


def test_what_comes_in_the_same_purchase_is_shown_wherever_its_line_is(
    sqlite_engine: Engine,
) -> None:
    beside = Companion(
        OfferingId("gcp_cud/us-central1/n2/ram/1"),
        Decimal("402.25"),
        CommitUsdPerHour(Decimal("0.3125")),
        "GB of memory",
    )
    world = make_world(sqlite_engine, open_reads=True)
    (proposal,) = add_proposals(world, companion=beside)
    reader = world.client()
    for page in ("/proposals", f"/proposals/{proposal.proposal}", f"/plans/{proposal.plan}"):
        html = reader.get(page).text
        assert "402.25 GB" in html, page
    assert "402.25 GB of memory" in html
    assert (
        "of the hourly commitment; sold beside it only"
        in reader.get(f"/proposals/{proposal.proposal}").text
    )
    assert "the amounts above are of both" in reader.get(f"/proposals/{proposal.proposal}").text
    told = reader.get(f"/v1/proposals/{proposal.proposal}").json()["line"]["companion"]
    assert told == {
        "offering": beside.offering,
        "quantity": "402.25",
        "commit_usd_per_hour": "0.3125",
        "unit": "GB of memory",
    }


def test_a_proposal_whose_lifetime_is_over_is_shown_without_forms(
    world: World, reader: TestClient
) -> None:
    path = f"/proposals/{fill(world)}"
    assert "/approve" in reader.get(path).text
    world.clock.instant += timedelta(hours=48)
    fresh = world.signed_in(world.token(Role.OPERATOR))
    assert "/approve" not in fresh.get(path).text
    assert "Its lifetime ended" in fresh.get(path).text


def test_older_rows_are_behind_a_link(world: World, reader: TestClient) -> None:
    now = NOW
    with writing(world.engine) as connection:
        for number in range(60):
            now += timedelta(seconds=1)
            item = listed(None, CommitmentId(f"ext-{number:02d}"), now)
            holdings.keep(connection, "aws", item, now=now)
    listed_now = reader.get("/commitments").text.partition('id="all"')[2]
    assert "ext-59" in listed_now
    assert "ext-09" not in listed_now
    older = re.findall(r'<a rel="next" href="([^"]+)"', listed_now)
    assert "ext-09" in reader.get(older[0].replace("&amp;", "&")).text.partition('id="all"')[2]


def test_a_page_that_is_not_there_is_told_as_a_page(reader: TestClient) -> None:
    answer = reader.get("/proposals/p-none")
    assert answer.status_code == 404
    assert "There is no proposal p-none" in answer.text


def test_anybody_may_read_pages_where_reads_were_opened(sqlite_engine: Engine) -> None:
    world = make_world(sqlite_engine, open_reads=True)
    fill(world)
    answer = world.client(accept="text/html").get("/", follow_redirects=False)
    assert answer.status_code == 200
    assert "sp-00000001" in answer.text
    assert "Sign in" in answer.text


def test_every_kind_of_commitment_has_a_name_for_people() -> None:
    assert set(KIND_NAMES) == set(Kind)


def test_signing_in_leads_back_to_the_page_that_offered_it(sqlite_engine: Engine) -> None:
    world = make_world(sqlite_engine, open_reads=True)
    path = f"/proposals/{fill(world)}"
    client = world.client(accept="text/html")
    (link,) = re.findall(
        r'<a href="(/login\?next=[^"]+)">Sign in</a>\n</div>', client.get(path).text
    )
    (wanted,) = re.findall(r'name="next" value="([^"]+)"', client.get(link).text)
    form = {"token": world.token(Role.APPROVER), "next": wanted}
    assert client.post("/login", data=form).url.path == path
