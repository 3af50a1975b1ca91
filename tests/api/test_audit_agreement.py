"""What the tables say of a sign-off is held against what the ledger tells of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from service.cli import main
from service.domain.purchases import Proposal
from service.store.agreement import disagreement
from service.store.engine import snapshot, writing
from service.store.states import Role
from tests.api.world import World, add_proposals


def found(engine: Engine) -> str | None:
    with snapshot(engine) as connection:
        return disagreement(connection)


@pytest.fixture
def approved(world: World) -> Proposal:
    """One proposal that Ada approved, one that she rejected, and one that waits."""
    client = world.client(world.token(Role.APPROVER, label="Ada"))
    one, other, _ = add_proposals(world, lines=3)
    for proposal, word, field in ((one, "approve", "comment"), (other, "reject", "reason")):
        answer = client.post(
            f"/v1/proposals/{proposal.proposal}/{word}",
            json={field: "seen"},
            headers={"If-Match": client.get(f"/v1/proposals/{proposal.proposal}").headers["etag"]},
        )
        assert answer.status_code == 200, answer.text
    return one


FORGED = {
    "another name": ("UPDATE proposals SET decided_by = 'Lim' WHERE state = 'approved'", "Lim"),
    "another comment": ("UPDATE proposals SET comment = 'x' WHERE state = 'rejected'", "decided"),
    "a yes that nobody said": (
        "UPDATE proposals SET state = 'approved' WHERE state = 'waiting'",
        "is approved, and waiting by the ledger",
    ),
    "a no that is taken back": (
        "UPDATE proposals SET state = 'waiting', decided_by = NULL WHERE state = 'rejected'",
        "is waiting, and rejected by the ledger",
    ),
    "another approver": ("UPDATE approvals SET approved_by = 'Lim'", "Lim approved"),
    "another quantity": ("UPDATE approvals SET quantity = '999'", "no event tells"),
    "an approval too many": (
        """INSERT INTO approvals SELECT proposal_id, 'lim', 'Lim', approved_at, comment, version,
        quantity FROM approvals""",
        "Lim approved",
    ),
    "an approval less": ("DELETE FROM approvals", "no row does"),
}


@pytest.mark.parametrize(("change", "told"), FORGED.values(), ids=FORGED)
@pytest.mark.usefixtures("approved")
def test_a_row_that_was_changed_behind_the_ledgers_back_is_found(
    world: World, change: str, told: str
) -> None:
    assert found(world.engine) is None
    with writing(world.engine) as connection:
        assert connection.execute(text(change)).rowcount == 1
    assert told in (found(world.engine) or "")


def test_a_proposal_that_no_event_tells_of_is_found(world: World, approved: Proposal) -> None:
    with writing(world.engine) as connection:
        connection.execute(text("UPDATE events SET proposal_id = NULL"))
    assert "no event tells of proposal" in (found(world.engine) or "")
    assert approved.proposal


@pytest.mark.usefixtures("approved")
def test_an_emptied_ledger_is_not_taken_for_one_that_was_never_written(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(world.engine.url)
    assert main(["audit", "verify", "--database-url", url]) == 0
    with writing(world.engine) as connection:
        connection.execute(text("DELETE FROM events"))
        connection.execute(text("DELETE FROM ledger_head"))
    capsys.readouterr()
    assert main(["audit", "verify", "--database-url", url]) == 1
    assert "it was emptied" in capsys.readouterr().err


def test_an_empty_database_has_nothing_to_disagree_about(sqlite_engine: Engine) -> None:
    assert found(sqlite_engine) is None
