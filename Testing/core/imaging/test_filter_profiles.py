"""The three profiles differ where the specification says, and nowhere else."""

from __future__ import annotations

from dataclasses import asdict

from FlareMRCore.imaging.filter_profiles import PROFILES


def flat(name: str) -> dict[str, object]:
    content = {}
    for key, value in asdict(PROFILES[name]).items():
        parts = value if isinstance(value, dict) else {"": value}
        content |= {f"{key}.{part}".strip("."): setting for part, setting in parts.items()}
    return content


def differences(name: str) -> dict[str, object]:
    paper, other = flat("paper"), flat(name)
    return {key: other[key] for key in paper if paper[key] != other[key]}


def test_code_differs_here_only():
    assert differences("code") == {
        "volume_ratio.missing": "ignore",
        "volume_ratio.absent_counts_zero": True,
        "anatomy.min_adrenal_mm": 18.0,
        "confidence": 0.85,
    }


def test_safe_differs_here_only():
    assert differences("safe") == {
        "volume_ratio.missing": "inside-fov",
        "z_flip.holes_ratio": 1.2,
        "use_reach": True,
        "solid_mask": True,
    }


def test_paper_has_the_published_numbers():
    paper = flat("paper")
    assert (paper["volume_ratio.low"], paper["volume_ratio.high"]) == (0.2, 1.8)
    assert paper["volume_ratio.missing"] == "reject"
    assert paper["drop_share"] == 0.2
