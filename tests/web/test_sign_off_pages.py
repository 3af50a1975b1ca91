"""Sign-off by more than one person, and what the form offers to whom."""

from __future__ import annotations

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
