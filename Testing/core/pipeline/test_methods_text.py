import json
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.methods_text import methods_text, patients_by_kind
from FlareMRCore.pipeline.run_lineage import read_lineage
from Testing.core.pipeline.scored_runs import RECIPE, scored_run


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def test_the_text_says_what_the_records_say(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    text = methods_text(run)
    version = next(iter(read_lineage(run).records.values()))["versions"]["FlareMR"]
    assert text.startswith("# Methods: Fake\n\nThe recipe 'fake' (preset 'paper', ")
    assert f"of FlareMR {version}" in text
    assert "2 patients with MR (source domain)" in text
    assert "1 patient with MR (target domain)" in text
    assert "2. Stage 'double' was run (stage doubled, 3 cases, 0.0 min)." in text
    assert "On 2 cases (stage scored, convention 'standard') the mean DSC" in text
    assert "was 0.688 and the mean NSD 0.344. Mean DSC by organ: liver 0.875; spleen" in text
    assert "| packed | collect | 1 | seed | 0 |" in text
    assert "Seeds: 0." in text


def test_only_what_was_used_is_cited(tmp_path: Path, store: ArtifactStore) -> None:
    text = methods_text(scored_run(tmp_path, store))
    references = text.partition("## References")[2].partition("## Parameters")[0]
    assert references.strip().count("\n") == 0  # FlareMR itself
    assert "was run [1]." in text
    named = RECIPE.replace('name = "fake"', 'name = "li2024"')
    cited = methods_text(scored_run(tmp_path, store, named))
    assert "was run [1, 2]." in cited
    assert "2. Li J, Chen Q, Ding H, Liu H, Wan L." in cited


def test_registrations_cite_the_package_that_ran(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    notes = run.stages[1].folders[0] / "notes"
    notes.mkdir()
    (notes / "registration.json").write_text(json.dumps({"backend": "sitk"}), encoding="utf-8")
    text = methods_text(run)
    assert "Stage 'double' was run [2]" in text
    assert "The design of SimpleITK" in text


def test_an_unfinished_run_says_so(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    text = methods_text(replace(run, state="failed", stages=run.stages[:2]))
    assert "The run is not complete: its state is failed." in text
    assert "DSC" not in text


def test_a_run_without_artifacts_has_no_methods(tmp_path: Path, store: ArtifactStore) -> None:
    run = scored_run(tmp_path, store)
    with pytest.raises(InputError, match="nothing in its store"):
        methods_text(replace(run, stages=()))


def test_patients_count_once_as_they_were_first() -> None:
    def case(patient: str, domain: str, modality: str) -> dict[str, str]:
        return {"patient": patient, "domain": domain, "modality": modality}

    cases = [case("a", "source", "CT"), case("b", "target", "MR"), case("a", "source", "MR")]
    assert patients_by_kind(cases) == {("source", "CT"): 1, ("target", "MR"): 1}
