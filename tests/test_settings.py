"""Settings from the environment."""

import logging

import pytest

from modelrefresh import settings


def test_an_empty_environment_serves_the_whole_cluster() -> None:
    chosen = settings.parse({})
    assert (chosen.namespaces, chosen.workers, chosen.resync_seconds) == ((), 8, 600.0)


def test_namespaces_are_separated_by_commas() -> None:
    assert settings.parse({"MODELREFRESH_NAMESPACES": "team-a, team-b,"}).namespaces == ("team-a", "team-b")


def test_the_log_level_is_read_by_its_name() -> None:
    assert settings.parse({"MODELREFRESH_LOG_LEVEL": "debug"}).log_level == logging.DEBUG


def test_all_faults_are_told_at_once() -> None:
    environment = {"MODELREFRESH_WORKERS": "many", "MODELREFRESH_RESYNC_SECONDS": "0", "POD_NAMESPACE": "Team A"}
    with pytest.raises(settings.SettingsError) as caught:
        settings.parse(environment)
    assert str(caught.value).splitlines() == [
        "environment variable POD_NAMESPACE: saw 'Team A', accepted: a name of lower case letters, digits, '-' and '.'",
        "environment variable MODELREFRESH_WORKERS: saw 'many', accepted: a number from 1 to 64",
        "environment variable MODELREFRESH_RESYNC_SECONDS: saw '0', accepted: a number from 1 to 86400",
    ]
