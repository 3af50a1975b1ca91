"""The policy of a year of the whole service: autopilot below a sign-off, within caps that bind."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from service.domain.ids import AccountId

_TEXT: Final = """\
version: 1
name: a year
mode: autopilot
purchase_accounts: {{{provider}: "{account}"}}
allowed:
  kinds:
    - aws_compute_sp
    - aws_ec2_instance_sp
    - aws_ri_regional
    - azure_reservation
    - azure_savings_plan
    - gcp_resource_cud
    - gcp_flexible_cud
  terms_months: [12]
  payments: [no_upfront, partial_upfront, all_upfront]
  regions: ["*"]
  families: ["*"]
  accounts: ["*"]
worth: {{min_saving_ratio: 0.08, max_break_even_months: 11}}
after_purchase:
  coverage_ratio: {{min: 0, max: 0.97}}
  utilization_ratio: {{min: 0.8, max: 1}}
  line_utilization_ratio: {{min: 0.7, max: 1}}
caps:
  per_line: {{commit_usd_per_hour: 20, upfront_usd: 200000, obligation_usd: 400000}}
  per_run: {{commit_usd_per_hour: 25, upfront_usd: 300000, obligation_usd: 600000}}
  per_day: {{commit_usd_per_hour: 30, upfront_usd: 300000, obligation_usd: 800000}}
  in_total: {{commit_usd_per_hour: {cap}, upfront_usd: 1000000, obligation_usd: 4000000}}
sign_off:
  above: {{commit_usd_per_hour: {sign_off}, upfront_usd: 200000, obligation_usd: 400000}}
risk: {{budget_usd_per_run: 100000, max_pool_share_per_tranche_ratio: 0.5}}
freshness: {{max_data_age_hours: 120, max_price_age_hours: 24, max_inventory_age_hours: 12}}
timing: {{proposal_lifetime_hours: 168, lead_time_hours: 48}}
finance: {{cost_of_capital_annual_ratio: 0.08, solver_gap_tolerance_ratio: 0.03}}
"""


def policy_text(provider: str, account: AccountId, cap_usd: Decimal, sign_off_usd: Decimal) -> str:
    """At most ``cap_usd`` an hour in total; a person signs lines above ``sign_off_usd`` an hour."""
    return _TEXT.format(provider=provider, account=account, cap=cap_usd, sign_off=sign_off_usd)
