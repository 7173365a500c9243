"""Where weights lie by the rules of each system, and what failures of the disk say."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.folders import default_folder, make_folder, writing

HOME = Path.home()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, HOME / ".local/share/FlareMR/weights"),
        ("linux", {"XDG_DATA_HOME": "/data"}, Path("/data/FlareMR/weights")),
        ("linux", {"XDG_DATA_HOME": "relative"}, HOME / ".local/share/FlareMR/weights"),
        ("darwin", {}, HOME / "Library/Application Support/FlareMR/weights"),
        ("win32", {"LOCALAPPDATA": "/Local"}, Path("/Local/FlareMR/weights")),
        ("win32", {}, HOME / "AppData/Local/FlareMR/weights"),
        ("linux", {"FLAREMR_WEIGHTS_DIR": "/a b", "XDG_DATA_HOME": "/data"}, Path("/a b")),
        ("win32", {"FLAREMR_WEIGHTS_DIR": "~/w"}, HOME / "w"),
        ("linux", {"FLAREMR_WEIGHTS_DIR": "  "}, HOME / ".local/share/FlareMR/weights"),
    ],
)
def test_default_folder(platform: str, environment: dict[str, str], expected: Path) -> None:
    assert default_folder(environment, platform) == expected


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "weights.disk"),
        (errno.EROFS, "weights.permission"),
        (errno.EACCES, "weights.permission"),
        (errno.EIO, "weights.write"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(number: int, code: str) -> None:
    with pytest.raises(WeightsError, match="FLAREMR_WEIGHTS_DIR") as caught, writing(Path("x")):
        raise OSError(number, "why")
    assert caught.value.code == code


def test_a_folder_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="Cannot write"):
        make_folder(tmp_path / "file" / "below")
