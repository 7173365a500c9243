"""Files are found by their content: in the store, among corrections, in data sets."""

from __future__ import annotations

import hashlib
from pathlib import Path

from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.review_decisions import labels_file
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stored_files import case_hashes, find_files, record_of
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.recipe_fakes import STAGES, fake_recipe


def test_outputs_are_found_by_content(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    options = RunOptions(stages=STAGES)
    result = run_recipe(fake_recipe(tmp_path), None, store, SilentReporter(), options)
    artifacts = result.outcomes["doubled"].artifacts
    records = [case for a in artifacts for case in record_of(a.folder)["cases"]]
    wanted = {sha256 for record in records for sha256 in case_hashes(record)}
    found = find_files(store, {*wanted, "0" * 64})
    assert set(found.by_sha256) == wanted
    for sha256, path in found.by_sha256.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    made_of = record_of(artifacts[0].folder)["made_of"]
    assert [case["id"] for case in made_of] == ["case0"]


def test_files_of_data_sets_are_found_until_they_change(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    image = tmp_path / "image.nii.gz"
    image.write_bytes(b"one")
    digests = FileDigests(store.root / "digests.json")
    sha256 = digests.of(image)
    digests.save()
    assert find_files(store, {sha256}).by_sha256 == {sha256: image}
    image.write_bytes(b"another")
    assert find_files(store, {sha256}).by_sha256 == {}
    image.unlink()
    assert find_files(store, {sha256}).by_sha256 == {}


def test_corrected_labels_come_first(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    file = labels_file(store.root, "a" * 64)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(b"labels")
    assert find_files(store, {"a" * 64}).by_sha256 == {"a" * 64: file.path}
