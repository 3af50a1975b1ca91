"""The doctor: what is proven, what is denied, and what nobody can tell."""

from __future__ import annotations

from dataclasses import replace

from service.operate.demo import Demo
from service.operate.doctor import examined
from service.providers.port import PermissionProof


class Proofs:
    """A provider that knows of one permission, denies one, and tells nothing of two."""

    def permissions(self, mode: str) -> list[PermissionProof]:
        return [
            PermissionProof("know", allowed=True, detail="asked", mend="x"),
            PermissionProof("want", allowed=False, detail="denied", mend="Grant it."),
            PermissionProof("ask", None, f"no way to ask in {mode}", "Try it by hand."),
            PermissionProof("buy", None, "asking is denied", "Allow asking.", prover_failed=True),
        ]


def test_what_is_not_proven_is_no_pass_and_what_could_be_stops(demo: Demo) -> None:
    cloud = replace(demo.parts.cloud, permissions=Proofs())
    checks = {one.name: one for one in examined(replace(demo.parts, clouds=(cloud,)))}
    told = {
        name: (one.passed, one.state, one.stops, one.mend)
        for name, one in checks.items()
        if ": may " in name
    }
    assert told == {
        "aws: may know": (True, "ok", False, ""),
        "aws: may want": (False, "FAILED", True, "Grant it."),
        "aws: may ask": (False, "not proven", False, "Try it by hand."),
        "aws: may buy": (False, "not proven", True, "Allow asking."),
    }
    assert checks["aws: may buy"].as_row()["proven"] is False
    assert checks["aws: may want"].as_row()["proven"] is True
