"""The verb `networks`."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from FlareMRCore.cli.main import main

pytestmark = pytest.mark.torch


def test_prints_name_input_parameters_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "li2024-coarse", "ye2023-student"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["name", "input", "parameters", "GMACs"]
    assert lines[2].split()[:4] == ["li2024-coarse", "1x64x64x64", "6678568", "18.44"]
    assert lines[3].split()[:2] == ["ye2023-student", "1x224x224"]


def test_lists_translators_with_all_their_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "li2024-decoder"]) == 0
    line = capsys.readouterr().out.splitlines()[2]
    assert line.split()[:5] == ["li2024-decoder", "128x128x128", "+", "8", "2113985"]


def test_gives_the_facts_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "he2024", "--json-progress"]) == 0
    events = [
        json.loads(line.removeprefix("@flaremr ")) for line in capsys.readouterr().out.splitlines()
    ]
    (result,) = (event for event in events if event["event"] == "result")
    assert result["networks"][0]["parameters"] == 33_891_384


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "nothing"]) == 2
    assert "he2024" in capsys.readouterr().err
