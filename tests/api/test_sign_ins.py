"""Sign-ins through the identity provider: whose word they are, and how they are ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from service.api.context import AppContext, attach
from service.api.ports import policy_file
from service.store.states import Role
from tests.api.issuer import LocalIssuer
from tests.api.world import POLICY, World, add_proposals


def test_who_signed_in_does_not_say_yes_again_with_a_token_of_their_name(
    trusting: World, issuer: LocalIssuer, tmp_path: Path
) -> None:
    issuer.signs_in |= {"email": "ada@example.com", "email_verified": True}
    policy = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    policy.write_text(
        text.replace("\nsign_off:", "\nsign_off:\n  two_person_above_usd: 5000", 1),
        encoding="utf-8",
    )
    context: AppContext = trusting.app.state.tenor
    attach(trusting.app.state, replace(context, policy_source=policy_file(policy)))
    try:
        (proposal,) = add_proposals(trusting)
        path = f"/v1/proposals/{proposal.proposal}/approve"
        first = trusting.client(issuer.token()).post(path, headers={"If-Match": '"v1"'})
        assert (first.status_code, first.json()["state"]) == (200, "waiting")
        tokens = [trusting.token(Role.APPROVER, label=name) for name in ("ADA@example.com", "Bo")]
        answers = [
            trusting.client(token).post(path, headers={"If-Match": '"v2"'}) for token in tokens
        ]
    finally:
        attach(trusting.app.state, context)
    assert [answer.status_code for answer in answers] == [409, 200], answers[0].text
