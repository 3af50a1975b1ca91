"""Decides who types a command: the user that the system runs it as, whatever else is said.

A name that is given by hand can be made up, so it stands beside that user and never in its place.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from service.domain.errors import InputError
from service.purchase.people import said_at_a_shell

NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class AtTheShell:
    """Who typed a command. ``on_behalf_of``: whom they say that they do it for, if anybody."""

    user: str
    on_behalf_of: str | None = None

    @property
    def actor(self) -> str:
        """How the ledger names them."""
        return said_at_a_shell(self.user, self.on_behalf_of)

    @property
    def person(self) -> str:
        """Who it is, whoever they say that they do it for."""
        return self.user

    @property
    def label(self) -> str:
        """Whom they are taken for as well: naming another approver is no second approval."""
        return self.on_behalf_of or self.user


def at_the_shell(on_behalf_of: str | None = None) -> AtTheShell:
    """Who runs this process; ``InputError`` for a name that would not stand plainly in a line."""
    if on_behalf_of is None:
        return AtTheShell(_user())
    name = on_behalf_of.strip()
    if not name or not name.isprintable() or len(name) > NAME_LENGTH_MAX:
        raise InputError(
            f"{on_behalf_of!r} is not a name",
            file="the command line",
            column="--by",
            remedy=f"Give up to {NAME_LENGTH_MAX} printable characters, or leave it out.",
        )
    return AtTheShell(_user(), name)


def _user() -> str:
    """By the process's own number: variables such as USER say whatever somebody puts there.

    A container's number often has no name.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
