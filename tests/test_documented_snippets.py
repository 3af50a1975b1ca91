"""Every block of README and docs is of a kind that some test takes in earnest; here all but shells.

YAML goes through the loader that reads such a file, JSON is parsed and compared with what Tenor
sends, Python runs, diagrams are those that the code draws. ``test_documented_sessions`` runs what
stands in ``sh`` and ``console`` blocks, and asks commands for the names that a ``shape`` says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from service.forecast.changes import parse_changes
from service.forecast.holidays import parse_holidays
from service.guard.policy import parse_policy
from service.notify.alerts import AlertKind
from service.notify.config import load_alerts
from service.notify.send import cloud_event
from service.purchase.lifecycle import (
    ALTERATION_MOVES,
    ALTERATION_START,
    INTENT_MOVES,
    INTENT_START,
    PROPOSAL_MOVES,
    PROPOSAL_START,
    mermaid,
)
from service.sandbox.clock import VirtualClock
from service.store import alerts
from service.usage.hourly_charges import read_charges
from tests.api.world import NOW
from tests.documents import (
    PAGES,
    ROOT,
    Block,
    blocks_of,
    commands_in,
    every_block,
    unfenced_commands,
)
from tests.guard.test_cookbook import laid_over

BLOCKS = every_block()
SHELLS = {"sh", "console", "shape"}
"""Kinds that ``test_documented_sessions`` runs."""


def of_kind(kind: str) -> list[Block]:
    """The blocks of one kind; at least one, or its test would be of nothing."""
    found = [block for block in BLOCKS if block.kind == kind]
    assert found, kind
    return found


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    known = SHELLS | {"yaml", "json", "python", "mermaid", "text", "powershell"}
    assert [str(block) for block in BLOCKS if block.kind not in known] == []


def test_a_block_of_another_kind_would_be_seen() -> None:
    page = "1. x\n\n   ```rust\n   fn main() {}\n   ```\n\n```\nbare\n```\n"
    assert [(one.line, one.kind) for one in blocks_of("a.md", page)] == [(3, "rust"), (7, "")]
    assert unfenced_commands("text\n\n    tenor run\n") == ["    tenor "]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_command_stands_outside_a_block(page: Path) -> None:
    assert unfenced_commands(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("block", of_kind("powershell"), ids=str)
def test_roles_are_granted_where_the_pages_table_says(block: Block) -> None:
    page = (ROOT / block.page).read_text(encoding="utf-8")
    rows = {
        line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("|")
    }
    granted = [one[1:] for one in commands_in(block) if one[0] == "New-AzRoleAssignment"]
    assert granted
    for words in granted:
        said = dict(zip(words[::2], words[1::2], strict=True))
        where = said["-Scope"].replace("$subscription", "the paying subscription")
        assert said["-RoleDefinitionName"] in rows[where]


@pytest.mark.parametrize("block", of_kind("text"), ids=str)
def test_plain_text_is_what_the_demo_prints(block: Block) -> None:
    printed = (ROOT / "service" / "operate" / "demo.py").read_text(encoding="utf-8")
    for words in ("Tenor is running against a sandbox cloud", "A virtual day passes in 24 seconds"):
        assert words in block.text
        assert words in printed


@pytest.mark.parametrize("block", of_kind("yaml"), ids=str)
def test_yaml_is_read_by_what_reads_such_a_file(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(block.text)
    if block.page == "docs/alerts.md":
        for name in ("SLACK_TOKENS", "MAIL_ACCOUNT", "TICKETING_KEY"):
            monkeypatch.setenv(name, "word/for/word")
        file = tmp_path / "alerts.yaml"
        file.write_text(block.text, encoding="utf-8")
        assert len(load_alerts(file).targets) == len(document["targets"])
    elif isinstance(document, list):
        read = parse_changes if "what" in document[0] else parse_holidays
        told = sum(len(one.get("dates", [0])) for one in document)
        assert len(read(block.text, file=block.page)) == told
    else:
        default = yaml.safe_load((ROOT / "policies" / "default.yaml").read_text(encoding="utf-8"))
        whole = yaml.safe_dump(laid_over(default, document), sort_keys=False)
        parse_policy(whole, file=block.page)


def test_the_alert_that_is_shown_is_what_a_webhook_gets() -> None:
    (block,) = [one for one in of_kind("json") if one.page == "docs/alerts.md"]
    shown = json.loads(block.text)
    raised = alerts.Raised(
        alert=shown["id"],
        kind=AlertKind.HALT.value,
        severity=shown["data"]["severity"],
        title=shown["subject"],
        body=shown["data"]["body"],
        raised_at=NOW.replace(hour=12, minute=0),
        data={"event": "halt.set", "sequence": 17, "by": "ann", "reason": "drill"},
    )
    assert cloud_event(raised) == shown


@pytest.mark.parametrize(
    "block", [one for one in of_kind("json") if one.page != "docs/alerts.md"], ids=str
)
def test_hourly_charges_are_read_as_they_are_shown(block: Block, tmp_path: Path) -> None:
    (tmp_path / "hourly_charges.json").write_text(block.text, encoding="utf-8")
    assert len(read_charges(tmp_path)) == len(json.loads(block.text)["usd"])


@pytest.mark.parametrize("block", of_kind("python"), ids=str)
def test_python_runs(block: Block, tmp_path: Path) -> None:
    given = {"folder": tmp_path, "shared_clock": VirtualClock(NOW)}
    exec(compile(block.text, str(block), "exec"), given)  # noqa: S102 - our own documents


@pytest.mark.parametrize("block", of_kind("mermaid"), ids=str)
def test_a_diagram_is_one_that_the_code_draws(block: Block) -> None:
    drawn = (
        mermaid(INTENT_START, INTENT_MOVES),
        mermaid(PROPOSAL_START, PROPOSAL_MOVES),
        mermaid(ALTERATION_START, ALTERATION_MOVES),
    )
    assert block.text.strip() in drawn
