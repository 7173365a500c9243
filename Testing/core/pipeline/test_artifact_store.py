import os
import subprocess
import sys
from pathlib import Path

import pytest

from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.recipe_status import prune_store

KEY = "ab" + "0" * 62
RECORD = {"key": KEY, "digest": "d", "cases": [], "outputs": {}}
REPOSITORY = Path(__file__).resolve().parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from FlareMRCore.pipeline.artifact_store import ArtifactStore
with ArtifactStore(Path(sys.argv[1])).writing() as folder:
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _leftovers(store: ArtifactStore) -> list[str]:
    return sorted(path.name for path in (store.root / "tmp").iterdir())


def test_published_folders_are_found(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    assert store.find(KEY) is None
    with store.writing() as folder:
        (folder / "a.txt").write_text("a", encoding="utf-8")
        made = store.publish(KEY, folder, RECORD)
    found = store.find(KEY)
    assert found is not None
    assert found == made
    assert found.folder == tmp_path / "objects" / "ab" / KEY
    assert (found.folder / "a.txt").read_text(encoding="utf-8") == "a"
    assert store.all_keys() == (KEY,)
    assert _leftovers(store) == []


def test_an_interrupt_leaves_no_trace(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def interrupted() -> None:
        with store.writing() as folder:
            (folder / "half.txt").write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _leftovers(store) == []
    assert store.all_keys() == ()


def test_of_two_racers_the_first_stays(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.writing() as slow, store.writing() as fast:
        (slow / "a.txt").write_text("slow", encoding="utf-8")
        (fast / "a.txt").write_text("fast", encoding="utf-8")
        store.publish(KEY, fast, RECORD)
        winner = store.publish(KEY, slow, RECORD)
    assert (winner.folder / "a.txt").read_text(encoding="utf-8") == "fast"
    assert _leftovers(store) == []


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_process_leaves_something_in_tmp_only_and_pruning_takes_it(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY, check=False)
    assert {path.name for path in tmp_path.iterdir()} == {"tmp"}
    assert len(_leftovers(store)) == 2
    with store.writing():
        assert len(prune_store(store).paths) == 2
        assert len(_leftovers(store)) == 2  # those of the living one
    assert _leftovers(store) == []


def test_resumable_state_belongs_to_one_process(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def enter_again() -> None:
        with store.working(KEY, exclusive=True):
            pass

    assert not store.is_running(KEY)
    with store.working(KEY, exclusive=True) as work:
        (work / "state").write_text("1", encoding="utf-8")
        assert store.is_running(KEY)
        with pytest.raises(UsageError, match="Another process"):
            enter_again()
        with store.working(KEY, exclusive=False):
            pass
    assert not store.is_running(KEY)
    assert store.was_interrupted(KEY)
    store.note_failure(KEY, {"message": "no"})
    assert store.failure(KEY) == {"message": "no"}
    store.clear_work(KEY)
    assert store.failure(KEY) is None
    assert not store.was_interrupted(KEY)


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"abc")
    digests = FileDigests(tmp_path / "digests.json")
    first = digests.of(path)
    digests.save()
    os.utime(path, ns=(1, 1))
    again = FileDigests(tmp_path / "digests.json")
    assert again.of(path) == first
    path.write_bytes(b"abd")
    assert again.of(path) != first
    (tmp_path / "digests.json").write_text("broken", encoding="utf-8")
    assert FileDigests(tmp_path / "digests.json").of(path) == again.of(path)
