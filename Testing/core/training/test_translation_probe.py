"""Cost of translators: counted without computing, and measured on a tiny one."""

from __future__ import annotations

import pytest

from FlareMRCore.training.learning_parameters import TrainerParameters
from FlareMRCore.training.translation_parameters import TranslationParameters, darnet_parameters
from FlareMRCore.training.translation_probe import translation_cost, translation_step_seconds

CYCLEGAN_2D = 2 * (11_365_633 + 2_762_689)
CYCLEGAN_3D = 2 * (34_111_489 + 11_047_873)
DARNET = 1_348_800 + 2 * 954_696 + 2_113_985 + 2 * 5_218_851 + 3_213_953


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        (TranslationParameters((256, 256), TrainerParameters(1)), CYCLEGAN_2D),
        (TranslationParameters((48, 160, 160), TrainerParameters(1)), CYCLEGAN_3D),
        (darnet_parameters(1), DARNET),
    ],
    ids=["2-D", "3-D", "darnet"],
)
def test_published_translators_have_the_published_size(
    parameters: TranslationParameters, count: int
) -> None:
    assert translation_cost(parameters).parameters == count


def test_a_larger_patch_costs_in_proportion() -> None:
    small, large = (
        translation_cost(TranslationParameters((side, 64), TrainerParameters(1), width=4))
        for side in (64, 128)
    )
    assert large.gmacs == pytest.approx(2 * small.gmacs, rel=0.05)
    assert small.memory_mb < large.memory_mb < 2 * small.memory_mb


def test_a_step_is_timed() -> None:
    parameters = TranslationParameters((32, 32), TrainerParameters(1), width=2, blocks=1)
    seconds = translation_step_seconds(parameters, device="cpu")
    assert seconds is not None
    assert 0 < seconds < 60
