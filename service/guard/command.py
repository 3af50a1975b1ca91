"""``tenor policy``: check policy files, publish their JSON Schema, explain what holds where."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.commitments import Kind
from service.domain.errors import PolicyError
from service.report.render import print_json, print_table

if TYPE_CHECKING:
    from service.guard.context import Target
    from service.guard.language import Caps, Policy


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``policy check``, ``policy schema`` and ``policy explain`` to the command line."""
    policy = commands.add_parser("policy", help="check and explain policy files")
    actions = policy.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="read policy files strictly; name every problem")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument("--json", action="store_true", help="one JSON object on standard output")
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON Schema of policies, for editors")
    schema.set_defaults(run=run_schema)
    explain = actions.add_parser("explain", help="which mode and limits hold for a purchase")
    explain.add_argument("file", type=Path, metavar="FILE")
    explain.add_argument("--provider", default="aws", choices=("aws", "azure", "gcp"))
    explain.add_argument("--account", help="default: the policy's purchase account")
    explain.add_argument("--region", help="default: a plan that is tied to no region")
    explain.add_argument("--family", help="default: a plan that is tied to no family")
    explain.add_argument(
        "--kind", default=Kind.AWS_COMPUTE_SP.value, choices=[kind.value for kind in Kind]
    )
    explain.add_argument("--term-months", type=int, default=12, choices=(12, 36, 60))
    explain.add_argument("--json", action="store_true", help="one JSON object on standard output")
    explain.set_defaults(run=run_explain)


def run_check(arguments: argparse.Namespace) -> int:
    """Exit status 0 when every file is sound, else 2."""
    from service.guard.policy import load_policy, load_problems  # noqa: PLC0415 - pydantic

    answers: list[dict[str, object]] = []
    sound = True
    for path in arguments.files:
        try:
            policy = load_policy(path)
        except PolicyError as error:
            sound = False
            found = load_problems(path)
            answers.append(
                {"file": str(path), "sound": False, "problems": [one._asdict() for one in found]}
            )
            if not arguments.json:
                sys.stderr.write(f"tenor: {error}\n")
                for one in found[1:]:
                    where = f"{path}, line {one.line}, key {one.key}"
                    sys.stderr.write(f"  {where}: {one.problem}. {one.remedy}\n")
        else:
            answers.append(
                {
                    "file": str(path),
                    "sound": True,
                    "name": policy.name,
                    "mode": policy.mode.value,
                    "digest": policy.digest,
                    "problems": [],
                }
            )
            if not arguments.json:
                sys.stdout.write(f"{path}: sound, policy {policy.name}, digest {policy.digest}\n")
    if arguments.json:
        print_json({"sound": sound, "policies": answers})
    return 0 if sound else PolicyError.exit_code


def run_schema(arguments: argparse.Namespace) -> int:
    """Print the schema, exactly as it is published in ``policies/policy.schema.json``."""
    from service.guard.policy import schema_text  # noqa: PLC0415 - pydantic

    del arguments
    sys.stdout.write(schema_text())
    return 0


def run_explain(arguments: argparse.Namespace) -> int:
    """Print the mode, the scopes and every limit that hold for one purchase."""
    from service.guard.context import Target  # noqa: PLC0415
    from service.guard.policy import load_policy  # noqa: PLC0415 - pydantic

    policy = load_policy(arguments.file)
    named = getattr(policy.purchase_accounts, arguments.provider)
    target = Target(
        provider=arguments.provider,
        account=arguments.account or named or "",
        region=arguments.region,
        family=arguments.family,
        kind=Kind(arguments.kind),
        term_months=arguments.term_months,
    )
    answer = explanation(policy, target)
    if arguments.json:
        print_json(answer)
        return 0
    rows = [(key, _shown(value)) for key, value in answer.items() if key != "caps"]
    print_table(f"policy {policy.name}", ("what", "holds"), rows)
    caps = answer["caps"]
    if isinstance(caps, list):
        print_table(
            "caps, all of which hold",
            ("of", "span", "USD/h", "upfront USD", "owed USD"),
            [tuple(row.values()) for row in caps],
        )
    return 0


def explanation(policy: Policy, target: Target) -> Mapping[str, object]:
    """What holds for ``target``: mode and why, purchase account, refusals known, caps, limits."""
    from service.domain.commitments import Payment  # noqa: PLC0415
    from service.guard.checks import choices  # noqa: PLC0415
    from service.guard.scopes import fields_stated, mode_of, scopes_for  # noqa: PLC0415

    scopes = scopes_for(policy, target)
    refused = sorted(
        {
            f"{result.rule} {result.actual} (allowed: {result.limit})"
            for payment in Payment
            for result in choices(target, payment, policy=policy)
            if result.decision.value != "allow"
        }
    )
    caps = _caps("policy", policy.caps)
    for scope in scopes:
        if scope.caps is not None:
            caps += _caps(scope.name, scope.caps)
    content = json.loads(policy.canonical_text())
    for window in content["blackouts"]["weekly"]:
        window["start"], window["end"] = _clock(window["start"]), _clock(window["end"])
    return {
        "mode": mode_of(policy, target).value,
        "scopes": [
            {"name": scope.name, "mode": scope.mode.value, "fields": fields_stated(scope.match)}
            for scope in scopes
        ],
        "halted": policy.halt,
        "purchase_account": getattr(policy.purchase_accounts, target.provider),
        "refused": refused,
        "caps": caps,
        **{
            part: content[part]
            for part in ("worth", "after_purchase", "sign_off", "risk", "freshness", "blackouts")
        },
    }


def _clock(minutes: int) -> str:
    """Minutes after midnight as they are written in a policy."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _caps(owner: str, caps: Caps) -> list[dict[str, object]]:
    return [
        {
            "of": owner,
            "span": span,
            "commit_usd_per_hour": cap.commit_usd_per_hour,
            "upfront_usd": cap.upfront_usd,
            "obligation_usd": cap.obligation_usd,
        }
        for span, cap in (
            ("per_line", caps.per_line),
            ("per_run", caps.per_run),
            ("per_day", caps.per_day),
            ("in_total", caps.in_total),
        )
    ]


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    return "none" if value is None else str(value)
