from pathlib import Path

import pytest

from service.api.ports import policy_file
from service.domain.errors import PolicyError
from tests.api.world import POLICY


def test_a_policy_that_is_edited_is_in_force_at_the_next_reading(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    source = policy_file(path)
    first = source()
    assert first.text == text
    assert source() is first
    path.write_text(text.replace("mode: copilot", "mode: observe"), encoding="utf-8")
    second = source()
    assert (first.policy.mode, second.policy.mode) == ("copilot", "observe")
    assert first.policy.digest != second.policy.digest


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"version: 2\n", None])
def test_a_policy_that_became_unusable_is_not_in_force_any_more(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(POLICY.read_bytes())
    source = policy_file(path)
    source()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(PolicyError):
            source()
    path.write_bytes(POLICY.read_bytes())
    assert source().policy.mode == "copilot"
