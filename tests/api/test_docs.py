"""What the documentation says of the API and its settings is what there is."""

import re
from pathlib import Path

from service.api.problems import Kind
from service.settings import settings_table
from tests.api.world import World

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_route_is_documented_and_no_other(world: World) -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(GET|POST|PUT|DELETE|PATCH) (/[^`\s]*)`", text))
    there_is = {
        (method.upper(), path)
        for path, methods in world.app.openapi()["paths"].items()
        for method in methods
    }
    assert documented == there_is


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(TENOR_\w+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", text, re.MULTILINE)
    assert rows == settings_table()


def test_every_status_that_the_text_names_is_of_a_kind_of_problem() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = {int(code) for code in re.findall(r"\b([45]\d\d)\b", text)}
    assert named <= {kind.status for kind in Kind}
