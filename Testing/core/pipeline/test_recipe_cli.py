import json
from pathlib import Path

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.events import parse_event
from Testing.core.pipeline.recipe_texts import TWO


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "two.toml"
    path.write_text(TWO, encoding="utf-8")
    return str(path)


def test_list_and_show_name_stages(capsys: pytest.CaptureFixture[str], recipe: str) -> None:
    assert main(["recipe", "list"]) == 0
    assert "contrast-randomized" in capsys.readouterr().out
    assert main(["recipe", "show", recipe]) == 0
    out = capsys.readouterr().out
    assert "[finer] resample <- cases: cohort" in out
    assert "spacing_mm = [20.0, 20.0, 20.0]" in out


def test_check_reports_mistakes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recipe: str
) -> None:
    assert main(["recipe", "check", recipe]) == 0
    bad = tmp_path / "bad.toml"
    bad.write_text(TWO.replace("ct_cases", "ct_case").replace('"cohort"\nsp', '"x"\nsp'), "utf-8")
    assert main(["recipe", "check", str(bad)]) == 2
    err = capsys.readouterr().err
    assert "unknown key 'ct_case' (did you mean 'ct_cases'?)" in err
    assert "there is no stage 'x'" in err


def test_a_dry_run_shows_the_published_size(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recipe", "check", "contrast-randomized", "--preset", "mini"]
    assert main([*arguments, "--dry-run", "--no-probe"]) == 0
    out = capsys.readouterr().out
    assert "train-coarse" in out
    assert "1850384" in out


def test_run_status_and_prune(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recipe: str
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["recipe", "run", recipe, *store, "--json-progress"]) == 0
    events = [parse_event(line) for line in capsys.readouterr().out.splitlines()]
    assert {e["stage"] for e in events if e and e["event"] == "progress"} == {"cohort", "finer"}
    assert events[-1]
    assert events[-1]["event"] == "result"
    assert main(["recipe", "status", recipe, *store]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["finer", "resample", "done", "2/2"]
    assert main(["recipe", "status", recipe, *store, "--json-progress"]) == 0
    content = json.loads(capsys.readouterr().out.partition(" ")[2])
    assert [stage["state"] for stage in content["stages"]] == ["done", "done"]
    assert main(["recipe", "prune", *store, "--keep-runs", "0"]) == 0
    assert not list((tmp_path / "store" / "objects").glob("??/*"))


def test_a_part_is_two_numbers(capsys: pytest.CaptureFixture[str], recipe: str) -> None:
    assert main(["recipe", "run", recipe, "--part", "one"]) == 2
    assert main(["recipe", "run", recipe, "--part", "3/2"]) == 2
