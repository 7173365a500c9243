"""What a run shows: pairs on one grid with the right files, and filters in numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.data.volume_io import read_grid, read_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.look import FAKE, LABELS, REGISTRATION, filter_summaries, sights
from FlareMRCore.pipeline.run_reading import RunReading, runs_of
from Testing.core.pipeline.review_cases import run_reviewed, store_in
from Testing.core.pipeline.sight_cases import run_sights


@pytest.fixture
def run(tmp_path: Path) -> RunReading:
    run_sights(tmp_path)
    return runs_of(store_in(tmp_path).root)[0]


def test_a_fake_lies_beside_its_source_with_its_labels(run: RunReading) -> None:
    (sight,) = (s for s in sights(run) if s.kind == FAKE)
    assert (sight.stage_id, sight.case_id) == ("fakes", "phantom-1000-ct-fake")
    assert sight.background.name == "ct.nii.gz"
    assert sight.foreground is not None
    assert read_grid(sight.foreground).geometry.coincides(read_grid(sight.background).geometry)
    assert sight.labels is not None


def test_a_registration_shows_fixed_and_warped_on_one_grid(run: RunReading) -> None:
    found = [s for s in sights(run) if s.kind == REGISTRATION]
    assert {s.case_id for s in found} == {"phantom-1001-t2", "phantom-1002-venous"}
    for sight in found:
        assert sight.background.name == "ct.nii.gz"
        assert sight.foreground is not None
        fixed, warped = read_volume(sight.background), read_volume(sight.foreground)
        assert fixed.geometry.coincides(warped.geometry)
        assert "similarity" in sight.note


def test_pseudo_labels_are_shown_by_the_stage_that_made_them(tmp_path: Path) -> None:
    run_reviewed(tmp_path)
    found = sights(runs_of(store_in(tmp_path).root)[0])
    assert {(s.kind, s.stage_id) for s in found} == {
        (LABELS, "pseudo"),
        (LABELS, "largest"),
        (LABELS, "pseudo-2"),
    }
    for sight in found:
        assert sight.labels is not None
        assert read_grid(sight.labels).geometry.coincides(read_grid(sight.background).geometry)
    assert [s.finished for s in found] == sorted((s.finished for s in found), reverse=True)


def test_what_lost_its_image_is_left_out(run: RunReading) -> None:
    (fake_mr,) = (s for s in sights(run) if s.kind == FAKE)
    assert fake_mr.foreground is not None
    fake_mr.foreground.unlink()
    assert {s.kind for s in sights(run)} == {REGISTRATION}


def test_filters_are_counted_by_sequence_organ_and_case(run: RunReading) -> None:
    (summary,) = filter_summaries(run)
    assert (summary.stage_id, summary.filter) == ("kept", "volume-ratio")
    assert summary.sequences == (("ct", 1, 0), ("T2", 0, 1), ("V", 1, 0))
    assert summary.organs == (("liver", 2, 1, "volume-high: 1"),)
    assert summary.cases[1] == ("phantom-1001-t2", "T2", False, "liver: 9 mL is too much.")


def test_a_damaged_report_is_named(run: RunReading) -> None:
    kept = run.stage("kept")
    assert kept is not None
    (kept.folders[0] / "filter.json").write_text("{", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"filter\.json"):
        filter_summaries(run)


def test_the_command_line_lists_the_same(
    run: RunReading, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["look", *store, "--kind", "fake"]) == 0
    out = capsys.readouterr().out
    assert "phantom-1000-ct-fake" in out
    assert "registration" not in out
    assert "9 mL is too much" in out
    assert main(["look", "--run", str(run.folder)]) == 0
    assert "registration" in capsys.readouterr().out
    assert main(["look", "--store", str(tmp_path / "none")]) == 3
