"""Sign-off by more than one person, and what the form offers to whom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.store.states import Role
from tests.api.world import POLICY, World, add_proposals, csrf_in, make_world


@pytest.fixture
def world(sqlite_engine: Engine, tmp_path: Path) -> World:
    """Under the shipped policy, with two people above $5,000 over the term."""
    path = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    at = text.index("\nsign_off:") + len("\nsign_off:")
    path.write_text(f"{text[:at]}\n  two_person_above_usd: 5000{text[at:]}", encoding="utf-8")
    return make_world(sqlite_engine, policy=path)


def test_two_people_approve_one_after_the_other_and_nobody_twice(world: World) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    ada = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    ben = world.signed_in(world.token(Role.APPROVER, label="Ben"))
    html = ada.get(path).text
    assert "The policy wants <strong>2 people</strong>" in html
    assert "Approve as the first of 2" in html
    assert "0 of 2 people" in ada.get("/proposals").text
    first = ada.post(
        f"{path}/approve", data={"csrf": csrf_in(html), "version": "1", "comment": "fine"}
    ).text
    assert "You have approved it. It waits for another person." in first
    assert f'action="{path}/approve"' not in first
    assert "1 of 2 people" in ada.get("/proposals").text
    html = ben.get(path).text
    assert "fine" in html
    done = ben.post(f"{path}/approve", data={"csrf": csrf_in(html), "version": "2"}).text
    assert "Approved. It is bought as soon as" in done


def test_withdrawing_is_offered_to_operators_and_to_who_approved(world: World) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    offered = f'action="{path}/withdraw"'
    ada = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    ben = world.signed_in(world.token(Role.APPROVER, label="Ben"))
    olga = world.signed_in(world.token(Role.OPERATOR, label="Olga"))
    assert offered not in ada.get(path).text
    assert offered in olga.get(path).text
    csrf = csrf_in(ada.get(path).text)
    ada.post(f"{path}/approve", data={"csrf": csrf, "version": "1"})
    assert offered in ada.get(path).text
    assert offered not in ben.get(path).text
    done = olga.post(
        f"{path}/withdraw", data={"csrf": csrf_in(olga.get(path).text), "version": "2"}
    ).text
    assert "withdrawn" in done
    assert offered not in done


def test_a_viewer_reads_everything_and_is_offered_no_decision(world: World) -> None:
    (proposal,) = add_proposals(world)
    viewer = world.signed_in(world.token(Role.VIEWER))
    html = viewer.get(f"/proposals/{proposal.proposal}").text
    assert "What happens if we wait" in html
    assert "deciding needs approver" in html
    assert '/approve"' not in html


def test_who_approved_with_one_token_is_known_with_another(world: World) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    first = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    csrf = csrf_in(first.get(path).text)
    first.post(f"{path}/approve", data={"csrf": csrf, "version": "1"})
    for label, is_ada in (("ada", True), ("Ben", False)):
        html = world.signed_in(world.token(Role.APPROVER, label=label)).get(path).text
        assert ("You have approved it." in html) is is_ada
        assert (f'action="{path}/approve"' not in html) is is_ada
        assert (f'action="{path}/withdraw"' in html) is is_ada


@pytest.mark.parametrize(
    ("verb", "typed", "said"),
    [
        ("approve", {"quantity": "1,5", "comment": "half of it"}, "Write it with a point: 1.5."),
        ("approve", {"quantity": "lots", "comment": "yes"}, "Write a plain number such as 1.5"),
        ("approve", {"quantity": "999999", "comment": "more"}, 'role="alert"'),
        ("approve", {"quantity": "1", "comment": "x" * 2001}, "at most 2000 are kept"),
        ("reject", {"reason": "  "}, "Say why; it is kept in the ledger."),
    ],
)
def test_a_mistake_stands_beside_its_field_and_what_was_typed_is_kept(
    world: World, verb: str, typed: dict[str, str], said: str
) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    ada = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    assert "aria-invalid" not in ada.get(path).text
    form = {"csrf": csrf_in(ada.get(path).text), "version": "1", **typed}
    answer = ada.post(f"{path}/{verb}", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert "Nothing was done" in answer.text
    assert 'aria-invalid="true"' in answer.text
    for name, value in typed.items():
        kept = f'value="{value}"' if name == "quantity" else f">{value}</textarea>"
        assert kept in answer.text, name
    assert "0 of 2 people" in ada.get("/proposals").text


def test_a_mistake_in_an_address_is_told_by_its_name(world: World) -> None:
    html = world.signed_in(world.token(Role.VIEWER)).get("/proposals?state=maybe").text
    assert "1 thing to mend" in html
    assert "<strong>state</strong>: it is none of the choices. You gave: <q>maybe</q>" in html


def test_who_sees_some_accounts_is_offered_only_what_they_may_open(world: World) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    account = frozenset({proposal.line.account})
    limited = world.signed_in(world.token(Role.APPROVER, label="Lea", accounts=account))
    whole = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    for page in ("/", path, "/commitments", "/halt"):
        links = set(re.findall(r'href="(/[^"#]*)"', limited.get(page).text))
        assert links < set(re.findall(r'href="(/[^"#]*)"', whole.get(page).text)), page
        for link in sorted(links):
            assert limited.get(link).status_code == 200, (page, link)
    answer = limited.get("/audit")
    assert answer.status_code == 403
    assert "<h1>You are limited to some accounts</h1>" in answer.text


def test_a_page_that_refuses_says_what_is_the_matter(world: World) -> None:
    (proposal,) = add_proposals(world)
    path = f"/proposals/{proposal.proposal}"
    viewer = world.signed_in(world.token(Role.VIEWER))
    form = {"csrf": csrf_in(viewer.get(path).text), "version": "1", "comment": ""}
    html = viewer.post(f"{path}/approve", data=form).text
    assert "<h1>Your role is not enough</h1>" in html
    html = viewer.post(f"{path}/approve", data={**form, "csrf": "f" * 64}).text
    assert "<h1>The form was not recognised</h1>" in html
