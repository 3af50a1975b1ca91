"""Closed sets of words that only the store uses; the domain's own are in ``service.domain``."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """A job run or a cycle: begun, and then exactly one of the two ends."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


class Role(StrEnum):
    """What the holder of an API token may do; each includes the one before."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


class Origin(StrEnum):
    """Who bought a commitment: an intent of ours, or somebody else."""

    TENOR = "tenor"
    EXTERNAL = "external"


class VerdictStage(StrEnum):
    """When the guard spoke: on the proposal, or again at execution."""

    PROPOSAL = "proposal"
    EXECUTION = "execution"
