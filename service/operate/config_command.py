"""``tenor config check``: every setting as this process would use it, and where it comes from."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.settings import Settings

SECRET_WORDS = ("secret", "password", "token")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor config`` to the command line."""
    parser = commands.add_parser("config", help="the settings, checked")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="read file and environment strictly; show every setting and its source"
    )
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=run_check)


def run_check(options: argparse.Namespace) -> int:
    """Settings and the files that they name as they would be used; exit 2 names what is wrong.

    What ``tenor run`` refuses is refused here, by the same functions; nobody is called.
    """
    from service.guard.policy import load_policy  # noqa: PLC0415 - imports wait
    from service.notify.config import load_alerts  # noqa: PLC0415
    from service.notify.send import require_usable  # noqa: PLC0415
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.operate.foreseen import foreseen  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.settings import sourced  # noqa: PLC0415
    from service.wiring import shipped  # noqa: PLC0415

    configure_logging("WARNING")
    found = sourced(os.environ)
    settings = found.settings
    _require_runnable(settings)
    policy = load_policy(shipped(settings.policy_file))
    alerts = load_alerts(settings.alerts_file)
    for target in alerts.targets:
        require_usable(target)
    known = foreseen(settings.changes_file, settings.holidays_file)
    rows = [
        (name, shown(name, getattr(settings, name)), found.sources.get(name, "default"))
        for name in type(settings).model_fields
    ]
    if options.json:
        print_json(
            {
                "settings": [
                    {"setting": name, "value": value, "source": source}
                    for name, value, source in rows
                ],
                "policy": {"name": policy.name, "digest": policy.digest},
                "alert_targets": [target.name for target in alerts.targets],
                "planned_changes": len(known.changes),
                "holidays": len(known.holidays),
            }
        )
    else:
        print_table("Settings", ("setting", "value", "from"), rows)
        names = ", ".join(target.name for target in alerts.targets) or "nobody"
        print(f"Policy: {policy.name}, mode {policy.mode.value}. Alerts go to: {names}.")  # noqa: T201
    return 0


def _require_runnable(settings: Settings) -> None:
    """``InputError`` for what would stop the daemon at its start. Nothing is connected to."""
    from service.api.access import access_from  # noqa: PLC0415
    from service.clouds import clouds_of  # noqa: PLC0415
    from service.providers.azure.cloud import azure_access  # noqa: PLC0415
    from service.providers.gcp.cloud import access_of  # noqa: PLC0415
    from service.store.engine import open_engine  # noqa: PLC0415
    from service.wiring import WallClock  # noqa: PLC0415

    open_engine(settings.database_url).dispose()
    access_from(settings, WallClock())
    # A cloud that is named by half is not one of those that are built.
    azure_access(settings)
    access_of(settings)
    for cloud in clouds_of(settings, WallClock()):
        cloud.close()


def shown(name: str, value: object) -> str:
    """``value`` as it may be shown: a password in a URL, or a secret, is not."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    if value is None:
        return ""
    if name == "database_url":
        return make_url(str(value)).render_as_string(hide_password=True)
    if any(word in name for word in SECRET_WORDS) and not name.endswith("_file"):
        return "***"
    return str(value)
