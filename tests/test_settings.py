from __future__ import annotations

from pathlib import Path

import pytest

from service.domain.errors import InputError
from service.settings import Settings, read_settings


def test_defaults_observe_and_stay_on_this_machine() -> None:
    settings = read_settings({})
    assert settings.policy_file == Path("policies/default.yaml")
    assert settings.listen_host == "127.0.0.1"
    assert settings.open_reads is False


def test_reads_the_environment_and_lets_options_win() -> None:
    settings = read_settings({"TENOR_LAG_HOURS": "24", "PATH": "/bin"}, lag_hours=30, seed=None)
    assert settings.lag_hours == 30
    assert settings.seed == 0


def test_a_misspelt_variable_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="Did you mean TENOR_LAG_HOURS"):
        read_settings({"TENOR_LAGHOURS": "24"})


def test_an_unusable_value_names_the_variable_and_the_value() -> None:
    with pytest.raises(InputError, match=r"TENOR_LAG_HOURS.*'-1'"):
        read_settings({"TENOR_LAG_HOURS": "-1"})


def test_settings_cannot_be_changed_once_built() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(Settings(), "lag_hours", 1)  # noqa: B010 - the types forbid it as well
