"""Published sizes and costs of the translators' parts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.errors import UsageError  # noqa: E402
from FlareMRCore.networks.count import network_cost  # noqa: E402
from FlareMRCore.networks.translators import TRANSLATORS, build_translator  # noqa: E402

pytestmark = pytest.mark.torch

# None: no cost was published.
PUBLISHED = {
    "li2024-content": (1_348_800, None),
    "li2024-style": (954_696, None),
    "li2024-decoder": (2_113_985, None),
    "li2024-image-discriminator": (5_218_851, None),
    "li2024-content-discriminator": (3_213_953, None),
    "zhu2024-generator": (11_365_633, None),
    "zhu2024-discriminator": (2_762_689, None),
    "he2024-generator": (34_111_489, 767.0),
    "he2024-discriminator": (11_047_873, 31.0),
}


@pytest.mark.parametrize("name", TRANSLATORS)
def test_parameters_are_exact_and_cost_is_within_one_percent(name: str) -> None:
    entry = TRANSLATORS[name]
    cost = network_cost(entry.build, entry.input_shapes)
    parameters, gmacs = PUBLISHED[name]
    assert cost.parameters == parameters
    if gmacs is not None:
        assert cost.gmacs == pytest.approx(gmacs, rel=0.01)


def test_he_has_the_published_total() -> None:
    with torch.device("meta"):
        total = sum(
            parameter.numel()
            for name in ("he2024-generator", "he2024-discriminator")
            for parameter in build_translator(name).parameters()
        )
    assert 2 * total == 90_318_724


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="he2024-generator"):
        build_translator("pix2pix")
