"""The doctor: what is proven, what is denied, and what nobody can tell."""

from __future__ import annotations

from dataclasses import replace

from service.operate.demo import Demo
from service.operate.doctor import Check, examined
from service.providers.port import PermissionProof
from service.wiring import Parts

PURCHASE = "aws: may savingsplans:CreateSavingsPlan"


def checks(parts: Parts) -> dict[str, Check]:
    return {one.name: one for one in examined(parts)}


def test_what_is_not_proven_is_no_pass_and_what_could_be_stops(demo: Demo) -> None:
    granted = checks(demo.parts)[PURCHASE]
    assert (granted.state, granted.stops, granted.mend) == ("ok", False, "")
    demo.cloud.world.denied.add("iam:SimulatePrincipalPolicy")
    unproven = checks(demo.parts)[PURCHASE]
    assert not unproven.passed
    assert unproven.as_row()["proven"] is False
    assert (unproven.state, unproven.stops) == ("not proven", True)
    assert "iam:SimulatePrincipalPolicy" in unproven.mend
    demo.cloud.world.denied.clear()
    demo.cloud.world.denied.add("savingsplans:CreateSavingsPlan")
    denied = checks(demo.parts)[PURCHASE]
    assert (denied.state, denied.stops) == ("FAILED", True)


class NoWayToAsk:
    """A provider that offers no way to find out."""

    def permissions(self, mode: str) -> list[PermissionProof]:
        return [PermissionProof("buy", None, f"no way to ask in {mode}", "Try it by hand.")]


def test_what_no_provider_tells_stays_unproven_and_stops_nothing(demo: Demo) -> None:
    cloud = replace(demo.parts.cloud, permissions=NoWayToAsk())
    found = checks(replace(demo.parts, clouds=(cloud,)))["aws: may buy"]
    assert (found.passed, found.state, found.stops) == (False, "not proven", False)
    assert found.mend == "Try it by hand."
