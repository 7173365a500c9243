"""Published sizes and costs, and what every entry of the registry promises."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.errors import UsageError  # noqa: E402
from FlareMRCore.networks.builders import (  # noqa: E402
    NETWORKS,
    build_network,
    network_entry,
    network_names,
)
from FlareMRCore.networks.count import count_parameters, network_cost  # noqa: E402

pytestmark = pytest.mark.torch

# Parameters as published or built with the reference implementations; GMACs as measured there.
PUBLISHED = {
    "li2024-coarse": (6_678_568, 18.44),
    "li2024-fine": (6_677_528, 249.04),
    "li2024-big": (20_470_332, 1032.0),
    "li2024-big-36": (32_545_092, 2296.0),
    "zhu2024-small": (5_630_488, 114.8),
    "zhu2024-default": (30_713_158, 461.0),
    "he2024": (33_891_384, 640.0),
    "stmt2023-coarse": (26_975_450, 193.8),
    "stmt2023-organs": (25_792_462, 655.0),
    "stmt2023-tumor": (25_786_450, 654.0),
    "ye2023-teacher-organs": (1_439_006, 75.6),
    "ye2023-teacher-tumor": (1_438_802, 75.2),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_exact_and_cost_is_within_one_percent(name: str) -> None:
    entry = network_entry(name)
    cost = network_cost(entry.build, [entry.input_shape])
    parameters, gmacs = PUBLISHED[name]
    assert cost.parameters == parameters
    assert cost.gmacs == pytest.approx(gmacs, rel=0.01)


def test_the_student_has_about_the_size_that_the_paper_leaves_open() -> None:
    with torch.device("meta"):
        assert count_parameters(build_network("ye2023-student")) == 2_046_960


STATED = {
    "li2024-base": 6_669_528,
    "stmt2023-teacher": 17_858_868,
    "unet-mini": 351_516,
    "unet-mini-foreground": 351_204,
    "unet-mini-tumor": 351_204,
    "unet-mini-2d": 133_160,
    "resunet-mini": 650_660,
    "resunet-mini-foreground": 650_348,
    "resunet-mini-tumor": 650_348,
    "phtrans-mini": 705_312,
    "phtrans-mini-foreground": 701_112,
}


@pytest.mark.parametrize("name", STATED)
def test_other_networks_have_the_size_that_they_state(name: str) -> None:
    with torch.device("meta"):
        assert count_parameters(build_network(name)) == STATED[name]


@pytest.mark.parametrize("name", network_names())
def test_logits_have_the_promised_shape(name: str) -> None:
    entry = NETWORKS[name]
    with torch.device("meta"), torch.no_grad():
        logits = build_network(name).eval()(torch.empty((2, *entry.input_shape)))
    assert logits.shape == (2, entry.classes, *entry.input_shape[1:])


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="he2024") as caught:
        build_network("he2042")
    assert caught.value.code == "usage.network"


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        NETWORKS["mine"] = NETWORKS["he2024"]  # type: ignore[index]
