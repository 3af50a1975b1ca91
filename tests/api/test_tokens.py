import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from service.api.tokens import PREFIX, Caller, mint, recognise
from service.cli import main
from service.domain.errors import InputError
from service.store import ledger
from service.store.engine import reading, writing
from service.store.schema import tokens
from service.store.states import Role
from tests.api.world import NOW


def made(capsys: pytest.CaptureFixture[str], url: str, *options: str) -> dict[str, str]:
    arguments = ["token", "create", "--database-url", url, "--json", *options]
    assert main(arguments) == 0
    found: dict[str, str] = json.loads(capsys.readouterr().out)
    return found


def test_a_token_is_printed_once_and_only_its_hash_is_stored(
    sqlite_database_url: str, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--database-url", sqlite_database_url, "--role", "viewer", "--name", "Ada"]
    assert main(["token", "create", *options]) == 0
    printed = capsys.readouterr()
    token = printed.out.strip()
    assert token.startswith(PREFIX)
    assert len(token) == len(PREFIX) + 43
    assert token not in printed.err
    with reading(sqlite_engine) as connection:
        (row,) = connection.execute(select(tokens)).mappings().all()
        (event,) = ledger.latest(connection)
    assert row["secret_hash"] == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(dict(row))
    assert (event.kind, event.payload["label"]) == ("token.created", "Ada")
    assert token not in str(event)
    database = Path(sqlite_database_url.removeprefix("sqlite:///"))
    for file in database.parent.glob(f"{database.name}*"):
        assert token.encode() not in file.read_bytes()
    main(["token", "list", "--database-url", sqlite_database_url, "--json"])
    assert token not in capsys.readouterr().out


def test_a_token_is_good_until_its_days_are_over(
    sqlite_database_url: str, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    found = made(capsys, sqlite_database_url, "--role", "operator", "--name", "Olu", "--days", "2")
    expires_at = datetime.fromisoformat(found["expires_at"])
    assert expires_at - datetime.fromisoformat(found["created_at"]) == timedelta(days=2)
    with reading(sqlite_engine) as connection:
        last = recognise(connection, found["token"], now=expires_at - timedelta(seconds=1))
        after = recognise(connection, found["token"], now=expires_at)
    assert last == Caller(token_id=found["token_id"], label="Olu", role=Role.OPERATOR)
    assert after is None


@pytest.mark.parametrize(
    ("options", "days"),
    [([], 365), (["--days", "0"], None), (["--never-expires"], None), (["--days", "7"], 7)],
)
def test_a_token_ends_after_a_year_unless_it_is_said_otherwise(
    sqlite_database_url: str,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    days: int | None,
) -> None:
    url = sqlite_database_url
    found = made(capsys, url, "--role", "viewer", "--name", "Vi", *options)
    if days is None:
        assert found["expires_at"] is None
    else:
        created_at = datetime.fromisoformat(found["created_at"])
        assert datetime.fromisoformat(found["expires_at"]) - created_at == timedelta(days=days)


def test_a_token_cannot_end_and_never_expire(
    sqlite_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--role", "viewer", "--name", "Vi", "--days", "7", "--never-expires"]
    assert main(["token", "create", "--database-url", sqlite_database_url, *options]) == 2
    assert "contradict" in capsys.readouterr().err


def test_the_ledger_knows_which_accounts_a_token_is_limited_to(
    sqlite_database_url: str, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    url, options = sqlite_database_url, ["--role", "viewer", "--name", "Vi"]
    made(capsys, url, *options, "--account", "222", "--account", "111")
    made(capsys, url, *options)
    with reading(sqlite_engine) as connection:
        limits = [event.payload["accounts"] for event in ledger.latest(connection)]
    assert limits == [None, "111,222"]


def test_a_revoked_token_is_listed_as_such_and_opens_nothing(
    sqlite_database_url: str, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_database_url
    found = made(capsys, url, "--role", "approver", "--name", "Ada")
    for _ in range(2):
        assert main(["token", "revoke", found["token_id"], "--database-url", url]) == 0
    capsys.readouterr()
    main(["token", "list", "--database-url", url, "--json"])
    (shown,) = json.loads(capsys.readouterr().out)["tokens"]
    assert (shown["token_id"], shown["role"]) == (found["token_id"], "approver")
    assert shown["revoked_at"] is not None
    with reading(sqlite_engine) as connection:
        revoked_at = datetime.fromisoformat(shown["revoked_at"])
        assert recognise(connection, found["token"], now=revoked_at) is None
        kinds = [event.kind for event in ledger.latest(connection)]
    assert kinds == ["token.revoked", "token.created"]


def test_the_list_for_people_names_every_token(
    sqlite_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made(capsys, sqlite_database_url, "--role", "viewer", "--name", "dashboard")
    assert main(["token", "list", "--database-url", sqlite_database_url]) == 0
    assert "dashboard" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["create", "--role", "viewer", "--name", " "],
        ["create", "--role", "viewer", "--name", "x" * 101],
        ["create", "--role", "viewer", "--name", "a\nb"],
        ["create", "--role", "viewer", "--name", "Ada", "--days", "-1"],
        ["create", "--role", "viewer", "--name", "Ada", "--days", "4000"],
        ["revoke", "tok_none"],
    ],
    ids=["blank name", "long name", "two lines", "no days", "too many days", "unknown id"],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    sqlite_database_url: str,
    sqlite_engine: Engine,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    assert main(["token", *options, "--database-url", sqlite_database_url]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tenor: ")
    with reading(sqlite_engine) as connection:
        assert connection.execute(select(tokens)).all() == []
        assert ledger.latest(connection) == ()


def test_a_role_that_does_not_exist_is_refused(
    sqlite_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--database-url", sqlite_database_url, "--role", "root", "--name", "Ada"]
    with pytest.raises(SystemExit) as stopped:
        main(["token", "create", *options])
    assert stopped.value.code == 2
    assert "root" in capsys.readouterr().err


def test_a_database_that_was_not_migrated_is_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    assert main(["token", "list", "--database-url", url]) == 2
    assert "tenor migrate" in capsys.readouterr().err


def test_two_tokens_are_never_alike(engine: Engine) -> None:
    with writing(engine) as connection:
        texts = {
            mint(connection, label="x", role=Role.VIEWER, now=NOW, expires_at=None).text
            for _ in range(50)
        }
    assert len(texts) == 50


def test_a_token_that_has_expired_already_is_not_made(engine: Engine) -> None:
    with writing(engine) as connection, pytest.raises(InputError, match="expired already"):
        mint(connection, label="x", role=Role.VIEWER, now=NOW, expires_at=NOW)


def test_how_a_new_token_is_shown_to_programmers_leaves_the_token_out(engine: Engine) -> None:
    with writing(engine) as connection:
        minted = mint(connection, label="x", role=Role.VIEWER, now=NOW, expires_at=None)
    assert minted.text not in repr(minted)
    assert minted.record.token_id in repr(minted)
