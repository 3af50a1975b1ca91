"""Exactly one line of the whole service calls a purchase."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SERVICE = Path(__file__).resolve().parents[2] / "service"
OUT_OF_REACH = {"billing", "forecast", "plan", "backtest", "guard", "report"}
"""The core: the import contracts keep the provider port out of it, so its ``buy`` is another."""
BEHIND_THE_PORT = {"providers", "sandbox"}
"""The adapters, which are what the port reaches, and the clouds of the sandbox behind them."""


def callers(source: str, name: str = "buy") -> list[int]:
    """Lines that call, or pass on, anything of that name."""
    tree = ast.parse(source)
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Constant) and node.value == name and _is_getattr(tree, node))
    ]


def _is_getattr(tree: ast.Module, constant: ast.Constant) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and constant in node.args
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(
    ("name", "caller"), [("buy", "purchase/execute.py"), ("alter", "purchase/alter.py")]
)
def test_only_one_line_calls_a_purchase_and_only_one_an_alteration(name: str, caller: str) -> None:
    found = {
        path.relative_to(SERVICE).as_posix(): callers(path.read_text("utf-8"), name)
        for path in SERVICE.rglob("*.py")
        if path.relative_to(SERVICE).parts[0] not in OUT_OF_REACH | BEHIND_THE_PORT
    }
    assert [(path, len(lines)) for path, lines in found.items() if lines] == [(caller, 1)]


def test_the_core_cannot_reach_the_port() -> None:
    for package in sorted(OUT_OF_REACH):
        for path in (SERVICE / package).rglob("*.py"):
            if path.name != "command.py":
                assert "service.providers" not in path.read_text("utf-8"), path


def test_the_search_notices_a_call_an_alias_and_a_getattr() -> None:
    assert callers("buyer.buy(order)") == [1]
    assert callers("call = desk.buyer.buy\ncall(order)") == [1]
    assert callers('getattr(buyer, "buy")(order)') == [1]
    assert callers("def buy(self, order): ...\nbuyer.quote(order)") == []
