"""``tenor run``, ``cycle``, ``halt``, ``resume``, ``status``, ``doctor`` and ``demo``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.domain.errors import InputError

if TYPE_CHECKING:
    from service.settings import Settings
    from service.wiring import Ground, Parts


PORT_MAX = 65_535


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that run the service as a whole."""
    demo = commands.add_parser(
        "demo", help="the whole service against a sandbox cloud on this machine, no credentials"
    )
    demo.add_argument("--days", type=int, default=90, help="simulated days with --once (90)")
    demo.add_argument("--port", type=int, default=8321, help="port of the pages (8321; 0: any)")
    demo.add_argument("--once", action="store_true", help="run headless to the end and report")
    demo.add_argument("--seed", type=int, default=7, help="seed of the simulated organisation")
    demo.add_argument(
        "--clouds", default="aws,azure,gcp", help="which sandbox clouds (aws,azure,gcp: all)"
    )
    demo.add_argument("--json", action="store_true", help="print one JSON object at the end")
    demo.set_defaults(run=run_demo)

    daemon = commands.add_parser("run", help="the daemon: scheduler, status API and pages")
    daemon.add_argument("--bell-seconds", type=float, default=15.0, help=argparse.SUPPRESS)
    daemon.set_defaults(run=run_daemon)

    cycle = commands.add_parser(
        "cycle", help="one decision cycle now, here or by the daemon that runs"
    )
    cycle.add_argument(
        "--provider", default=None, help="decide for this cloud only (aws, azure, gcp; default all)"
    )
    cycle.add_argument(
        "--wait-seconds",
        type=float,
        default=600.0,
        help="how long to wait for a running daemon that was asked (600)",
    )
    cycle.add_argument("--no-wait", action="store_true", help="ask it, and do not wait")
    cycle.add_argument("--json", action="store_true", help="print one JSON object")
    cycle.set_defaults(run=run_cycle)

    _register_switches(commands)

    status = commands.add_parser("status", help="what Tenor did, is about to do, and may do")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(run=run_status)

    doctor = commands.add_parser(
        "doctor", help="check credentials, permissions, data age and clock, with the mend for each"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.set_defaults(run=run_doctor)


def _register_switches(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    halt = commands.add_parser("halt", help="stop all buying at once, everywhere")
    halt.add_argument("--reason", required=True, help="kept in the audit trail")
    halt.set_defaults(run=lambda options: run_switch(options, halted=True))
    resume = commands.add_parser("resume", help="let buying go on after a halt")
    resume.add_argument("--reason", default="resumed", help="kept in the audit trail")
    resume.add_argument(
        "--autopilot",
        metavar="PROVIDER",
        default=None,
        help="trust autopilot in this cloud again, where it gave itself up; a halt stays",
    )
    resume.set_defaults(run=run_resume)
    for switch in (halt, resume):
        switch.add_argument(
            "--by", default=None, help="whom you do it for, kept beside your user name"
        )
        switch.add_argument("--database-url", default=None, help="instead of TENOR_DATABASE_URL")
        switch.add_argument("--json", action="store_true", help="print one JSON object")


def run_demo(options: argparse.Namespace) -> int:
    """The demo, headless with ``--once``, else until interrupted."""
    from service.operate.demo import run_live, run_once  # noqa: PLC0415 - imports wait

    if options.days < 1:
        raise InputError(
            f"{options.days} days cannot be simulated",
            file="the command line",
            column="--days",
            remedy="Give at least 1.",
        )
    if not 0 <= options.port <= PORT_MAX:
        raise InputError(
            f"{options.port} is no port",
            file="the command line",
            column="--port",
            remedy="Give one from 1 to 65535, or 0 for any that is free.",
        )
    if options.json and not options.once:
        raise InputError(
            "the live demo has no end to report on",
            file="the command line",
            column="--json",
            remedy="Add --once.",
        )
    clouds = tuple(options.clouds.split(","))
    if options.once:
        return run_once(
            days=options.days, seed=options.seed, as_json=options.json, providers=clouds
        )
    return run_live(port=options.port, seed=options.seed, providers=clouds)


def run_daemon(options: argparse.Namespace) -> int:
    """The daemon, until SIGTERM or SIGINT."""
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.observe.tracing import configure_tracing, stop_tracing  # noqa: PLC0415
    from service.operate import daemon  # noqa: PLC0415

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    with _opened() as parts:
        configure_logging(parts.settings.log_level)
        configure_tracing(parts.settings.traces_url)
        clean = daemon.run_daemon(parts, stop, bell_seconds=options.bell_seconds)
        stop_tracing()
    if not clean:
        # A provider call or a solve is still running in a thread that Python would wait for. Its
        # intent is on disk; the next start resumes it.
        os._exit(1)
    return 0


def run_cycle(options: argparse.Namespace) -> int:
    """Ingest, reconcile, decide, act and report once, now.

    Under the executor's lease; while a daemon holds it, that one is asked to.
    """
    from service.operate.asking import executor_now  # noqa: PLC0415
    from service.operate.once import cycle_now  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415

    with _grounded(options) as ground:
        holder = executor_now(ground)
        if holder is not None:
            return _ask_for_cycle(options, ground, holder)
    with _opened() as parts:
        chosen = parts.each() if options.provider is None else (parts.about(options.provider),)
        at = parts.clock.now()
        results = [cycle_now(one, at=at) for one in chosen]
    if options.json:
        print_json(results[0] if len(results) == 1 else {"cycles": results})
    else:
        for result in results:
            print_table("Cycle", ("what", "value"), list(result.items()))
    return 4 if any(result["unknown"] for result in results) else 0


def _ask_for_cycle(options: argparse.Namespace, ground: Ground, holder: str) -> int:
    """Have the daemon decide, and tell what came of it."""
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.clouds import providers_named, require_named  # noqa: PLC0415
    from service.operate.asking import ask, awaited, leaves_unknown  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415

    providers = providers_named(ground.settings)
    if options.provider is not None:
        require_named(ground.settings, options.provider)
        providers = (options.provider,)
    requests = ask(ground, providers, actor=at_the_shell().actor)
    if not options.no_wait:
        sys.stderr.write(
            f"tenor: {holder} is the executor and has been asked; waiting up to "
            f"{options.wait_seconds:g} s (--no-wait does not)\n"
        )
        requests = awaited(ground, requests, within_seconds=options.wait_seconds)
    if options.json:
        print_json({"asked": holder, "cycles": [one.as_row() for one in requests]})
    else:
        rows = [(one.provider, one.cycle, one.state, one.detail) for one in requests]
        columns = ("provider", "cycle", "state", "what it said")
        print_table(f"Asked of {holder}", columns, rows)
    return 4 if not options.no_wait and leaves_unknown(ground, providers) else 0


def run_switch(options: argparse.Namespace, *, halted: bool) -> int:
    """Halt or resume; effective at once in every process on this database.

    Nothing but the database is needed to halt: no cloud is set up, and the policy is read once the
    switch is written.
    """
    from service.api.halting import halt_now  # noqa: PLC0415
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store.engine import reading, writing  # noqa: PLC0415
    from service.store.halt import set_halt  # noqa: PLC0415

    by = at_the_shell(options.by).actor
    # What a halt is written to is as old as Tenor: between image and migration it works as well.
    with _grounded(options, strict=not halted) as ground:
        with writing(ground.engine) as connection:
            changed = set_halt(
                connection, halted=halted, by=by, reason=options.reason, now=ground.clock.now()
            )
        with reading(ground.engine) as connection:
            stands = halt_now(connection, ground.policy)
    if options.json:
        still = {"halted": stands.halted, "halted_by": stands.halted_by}
        print_json({**still, "changed": changed, "by": by})
        return 0
    word = "halted" if stands.halted else "running"
    said = f"Buying is {word}." if changed else f"Buying was {word} already."
    if stands.halted and not halted:
        was = "is off now" if changed else "was off already"
        said = f"The switch {was}. Buying is still halted: {stands.detail}."
    print(said)  # noqa: T201
    return 0


def run_resume(options: argparse.Namespace) -> int:
    """End a halt, or (``--autopilot``) a demotion."""
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.clouds import require_named  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store.demotion import restore  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    if options.autopilot is None:
        return run_switch(options, halted=False)
    by, provider = at_the_shell(options.by).actor, options.autopilot
    with _grounded(options) as ground:
        require_named(ground.settings, provider)
        with writing(ground.engine) as connection:
            now = ground.clock.now()
            changed = restore(connection, provider, by=by, reason=options.reason, now=now)
    if options.json:
        print_json({"provider": provider, "changed": changed, "by": by})
    else:
        said = "is trusted again" if changed else "was trusted already"
        print(f"Autopilot in {provider} {said}.")  # noqa: T201
    return 0


def run_status(options: argparse.Namespace) -> int:
    """The same as the API's /v1/status, from the database."""
    from service.operate.status import print_status, status_of  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415

    with _grounded(options) as ground:
        status = status_of(ground)
    if options.json:
        print_json(status)
    else:
        print_status(status)
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Each check with its finding and its mend; exit status 1 when one must be mended."""
    from service.operate.doctor import examine  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415

    checks = examine(_settings())
    if options.json:
        print_json({"checks": [check.as_row() for check in checks]})
    else:
        rows = [(c.state, c.name, c.finding, c.mend) for c in checks]
        print_table("Doctor", ("", "check", "finding", "how to mend it"), rows)
    return 1 if any(check.stops for check in checks) else 0


def _settings() -> Settings:
    from service.settings import read_settings  # noqa: PLC0415

    return read_settings(os.environ)


@contextmanager
def _opened() -> Iterator[Parts]:
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.wiring import opened  # noqa: PLC0415

    configure_logging("WARNING")
    with opened(_settings()) as parts:
        yield parts


@contextmanager
def _grounded(options: argparse.Namespace, *, strict: bool = True) -> Iterator[Ground]:
    """The database and the policy.

    Unless ``strict``, other settings may be unusable, and the database not yet migrated.
    """
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.settings import read_reaching  # noqa: PLC0415
    from service.wiring import grounded  # noqa: PLC0415

    configure_logging("WARNING")
    url = getattr(options, "database_url", None)
    settings, problem = read_reaching(os.environ, database_url=url)
    if problem is not None and strict:
        raise problem
    if problem is not None:
        sys.stderr.write(f"tenor: other settings are left aside: {problem}\n")
    with grounded(settings, current=strict) as ground:
        yield ground
