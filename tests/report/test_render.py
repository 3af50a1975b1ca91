"""Tables for people lose nothing, however narrow the place that they are shown in."""

from __future__ import annotations

import pytest

from service.report.render import PIPE_WIDTH, print_table


def test_a_cell_wider_than_the_table_is_folded_and_never_cut_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    word = "".join(chr(ord("a") + position % 26) for position in range(2 * PIPE_WIDTH))
    print_table("Wide", ("what", "value"), [(word, 1)])
    shown = capsys.readouterr().out
    assert "…" not in shown
    cells = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert "".join(cells) == word
