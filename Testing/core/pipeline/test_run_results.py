import json
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import DatasetError, InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.run_lineage import minutes_of, read_lineage
from FlareMRCore.pipeline.run_results import (
    ablation_rows,
    ablation_table,
    run_scores,
    scores_table,
)
from Testing.core.pipeline.scored_runs import RECIPE, scored_run


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def test_means_are_those_of_the_summary(tmp_path: Path, store: ArtifactStore) -> None:
    (scores,) = run_scores(scored_run(tmp_path, store))
    assert (scores.stage_id, scores.cases, scores.mode) == ("scored", 2, "standard")
    liver, spleen = scores.organs
    assert (liver.organ, liver.cases, liver.dice, liver.dice_std) == ("liver", 2, 0.875, 0.125)
    assert (spleen.cases, spleen.dice) == (1, 0.5)
    assert scores.dice == pytest.approx((0.875 + 0.5) / 2)
    assert scores_table(scores).csv().splitlines() == [
        "organ,cases,DSC,DSC std,NSD,NSD std,HD95 mm",
        "liver,2,0.875,0.125,0.438,0.062,4.0",
        "spleen,1,0.500,0.000,0.250,0.000,4.0",
        "mean,2,0.688,,0.344,,",
    ]


def test_another_convention_has_no_scores(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    assert run_scores(run, "flare") == ()
    with pytest.raises(InputError, match="None of 1 runs has scores"):
        ablation_rows([run], "flare")


def test_a_damaged_summary_is_named(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    (scores,) = run_scores(run)
    (scores.folder / "summary.json").write_text("{", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"summary\.json"):
        run_scores(run)


def test_the_ablation_table_names_what_differs(tmp_path: Path, store: ArtifactStore) -> None:
    first = scored_run(tmp_path, store)
    changed = RECIPE.replace('use = "score"', 'use = "score"\nliver = 0.25')
    second = scored_run(tmp_path, store, changed)
    other = scored_run(tmp_path, store, preset="mini")
    again = scored_run(tmp_path, store)  # the same scores as the first run
    rows = ablation_rows([again, other, second, first])
    assert [(row.preset, row.changes) for row in rows] == [
        ("paper", ("scored.liver = 0.75",)),
        ("paper", ("scored.liver = 0.25",)),
        ("mini", ()),
    ]
    table = ablation_table(rows)
    assert table.header[6:] == ("liver", "spleen", "mean DSC", "mean NSD", "minutes")
    assert [cells[6] for cells in table.rows] == ["0.875", "0.625", "0.750"]
    lines = table.markdown().splitlines()
    assert lines[1].startswith("| --- | --- | --- | --- | --- | ---: |")
    assert lines[3].startswith(
        "| fake | paper | paper | scored | scored.liver = 0.25 | 2 | 0.625 |"
    )


def test_minutes_are_of_everything_the_scores_depend_on(
    tmp_path: Path, store: ArtifactStore
) -> None:
    aside = RECIPE + '\n[[stage]]\nid = "aside"\nuse = "collect"\ninput = "made"\nseed = 7\n'
    run = scored_run(tmp_path, store, aside)
    for number, stage in enumerate(run.stages):
        for folder in stage.folders:
            path = folder / "artifact.json"
            record = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**record, "duration_s": 60 * 10**number}), "utf-8")
    assert [stage.id for stage in run.stages][-1] == "aside"
    (row,) = ablation_rows([run])
    assert row.minutes == 1 + 3 * 10 + 100 + 1000 + 10_000  # one of the stages has three cases
    assert "aside.seed" not in row.parameters
    assert minutes_of(read_lineage(run).records.values()) == row.minutes + 100_000


def test_lineage_of_a_pruned_run_is_what_is_left(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    rest = replace(run, stages=run.stages[2:])
    found = read_lineage(rest).upstream([run.stages[-1].keys[0]])
    assert [record["stage_id"] for record in found] == ["packed", "counted", "scored"]
