"""Who types a command is who the system says; stopping everything needs the database alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service import cli
from service.api.shell import AtTheShell, at_the_shell
from service.domain.errors import InputError
from service.domain.purchases import Approval
from service.purchase.people import has_approved, identity_of
from service.store import ledger
from service.store.engine import open_engine, reading, writing
from service.store.halt import read_halt
from service.store.states import Role
from tests.api.world import NOW, POLICY, World, add_proposals, make_world

AWS_BY_HALF = {
    "TENOR_AWS_PROFILE": "nobody-made-this-profile",
    "TENOR_AWS_EXTERNAL_ID": "x",
    "TENOR_AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/tenor",
}
AZURE_BY_HALF = {"TENOR_AZURE_TENANT_ID": "t"}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The shipped policy, with two people above $5,000 over the term."""
    path = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    at = text.index("\nsign_off:") + len("\nsign_off:")
    path.write_text(f"{text[:at]}\n  two_person_above_usd: 5000{text[at:]}", encoding="utf-8")
    return path


@pytest.fixture
def world(sqlite_engine: Engine, policy: Path) -> World:
    """A small Tenor as of now: commands go by the machine's clock."""
    made = make_world(sqlite_engine, policy=policy)
    made.clock.instant = datetime.now(UTC).replace(microsecond=0)
    return made


@pytest.fixture
def environment(policy: Path, sqlite_engine: Engine) -> Iterator[dict[str, str]]:
    """This process on that database and policy, and on nothing else."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("TENOR_")]:
        del os.environ[name]
    given = {"TENOR_DATABASE_URL": str(sqlite_engine.url), "TENOR_POLICY_FILE": str(policy)}
    os.environ.update(given)
    yield given
    os.environ.clear()
    os.environ.update(before)


def halted(engine: Engine) -> bool:
    with reading(engine) as connection:
        return read_halt(connection).halted


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("broken", [AWS_BY_HALF, AZURE_BY_HALF, {"TENOR_GCP_PROJECT": "p"}])
def test_halting_and_looking_need_no_cloud(
    broken: Mapping[str, str], sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ.update(broken)
    assert cli.main(["cycle"]) == 2  # these settings are of no use to who needs a cloud
    assert cli.main(["halt", "--reason", "stop"]) == 0
    assert halted(sqlite_engine)
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["halt"]["halted"] is True
    assert {job["name"].partition("-")[0] for job in told["jobs"]} >= {"cycle", "reconcile"}
    for words in (["proposals"], ["intents"], ["alterations"], ["resume"]):
        assert cli.main(words) == 0
    assert not halted(sqlite_engine)


@pytest.mark.parametrize(
    "broken",
    [{"TENOR_LISTEN_PORT": "many"}, {"TENOR_NO_SUCH": "1"}, {"TENOR_CONFIG_FILE": "not/there"}],
)
def test_no_other_setting_can_prevent_a_halt_of_a_database_that_is_named(
    environment: dict[str, str],
    broken: Mapping[str, str],
    sqlite_engine: Engine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.environ.update(broken)
    os.environ["TENOR_POLICY_FILE"] = "not/there/either.yaml"
    assert cli.main(["halt", "--reason", "stop"]) == 0
    assert "left aside" in capsys.readouterr().err
    assert halted(sqlite_engine)
    assert cli.main(["resume"]) == 2
    del os.environ["TENOR_DATABASE_URL"]
    assert cli.main(["halt", "--reason", "again"]) == 2  # which one is not guessed
    assert cli.main(["halt", "--reason", "b", "--database-url", str(sqlite_engine.url)]) == 0
    _ = environment


@pytest.mark.postgres
@pytest.mark.usefixtures("environment")
def test_a_halt_does_not_wait_for_the_migration(postgres_database_url: str) -> None:
    os.environ["TENOR_DATABASE_URL"] = postgres_database_url
    engine = open_engine(postgres_database_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        assert cli.main(["halt", "--reason", "stop"]) == 0
        assert halted(engine)
        assert cli.main(["resume"]) == 2
    finally:
        engine.dispose()


@pytest.mark.usefixtures("environment")
def test_a_name_given_by_hand_stands_beside_the_user_and_never_in_its_place(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (proposal,) = add_proposals(world)
    decide = ["proposals", "approve", proposal.proposal, "--by"]
    os.environ["USER"] = os.environ["LOGNAME"] = "somebody-else"
    made_up = "Lim (tok_a4181b13689b)"
    assert cli.main([*decide, made_up]) == 0
    assert "another person must approve" in capsys.readouterr().out
    with reading(world.engine) as connection:
        told = [one for one in ledger.read(connection) if one.kind == "proposal.endorsed"]
    assert [one.actor for one in told] == [f"command line ({at_the_shell().user}) for {made_up}"]
    for another in ("Bo", made_up, at_the_shell().user):
        assert cli.main([*decide, another]) == 3
        assert "another person must" in capsys.readouterr().err
    bo = world.client(world.token(Role.APPROVER, label="Bo"))
    path = f"/v1/proposals/{proposal.proposal}/approve"
    done = bo.post(path, headers={"If-Match": '"v2"'}).json()
    assert (done["state"], len(done["approvals"])) == ("approved", 2)


@pytest.mark.usefixtures("environment")
def test_whom_a_command_named_has_approved_as_well(world: World) -> None:
    (proposal,) = add_proposals(world)
    assert cli.main(["proposals", "approve", proposal.proposal, "--by", "Lim"]) == 0
    path = f"/v1/proposals/{proposal.proposal}/approve"
    second = {"If-Match": '"v2"'}
    lim = world.client(world.token(Role.APPROVER, label="lim"))
    assert lim.post(path, headers=second).status_code == 409
    user = world.client(world.token(Role.APPROVER, label=at_the_shell().user))
    assert user.post(path, headers=second).status_code == 409


def test_two_users_of_the_system_are_two_people() -> None:
    ada = AtTheShell("ada", "Lim")
    approval = Approval(identity_of(ada.person), ada.actor, NOW, "", 1, Decimal(1))
    for same in (AtTheShell("ada"), AtTheShell("bo", "lim"), AtTheShell("lim"), ada):
        assert has_approved([approval], person=same.person, label=same.label)
    bo = AtTheShell("bo")
    assert not has_approved([approval], person=bo.person, label=bo.label)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 201])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not a name"):
        at_the_shell(name)
