import threading
from pathlib import Path

import pytest

from FlareMRCore.errors import Cancelled
from FlareMRCore.pipeline.process_team import Team
from FlareMRCore.progress import SilentReporter


def test_torchrun_says_who_leads() -> None:
    assert Team.from_environment({}) == Team(0, 1)
    found = Team.from_environment({"RANK": "2", "WORLD_SIZE": "3"})
    assert found == Team(2, 3)
    assert not found.leads
    assert Team(0, 3).leads


def test_the_leader_waits_for_everybody(tmp_path: Path) -> None:
    leader, followers = Team(0, 3), (Team(1, 3), Team(2, 3))
    followers[0].leave(tmp_path)
    followers[1].leave(tmp_path)
    leader.begin(tmp_path)  # what was left by an earlier attempt does not count
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Cancelled):
        leader.wait_for_others(tmp_path, SilentReporter(lambda: True))
    followers[0].leave(tmp_path)
    later = threading.Timer(0.05, followers[1].leave, [tmp_path])
    later.start()
    leader.wait_for_others(tmp_path, SilentReporter())
    later.join()
    assert len(list(tmp_path.iterdir())) == 2


def test_alone_there_is_nobody_to_wait_for(tmp_path: Path) -> None:
    Team().begin(tmp_path)
    Team().wait_for_others(tmp_path, SilentReporter(lambda: True))
