"""TOML files that people write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from FlareMRCore.errors import FlareMRError, reason_of


def read_toml(path: Path, kind: type[FlareMRError], code: str) -> dict[str, Any]:
    """Content of a TOML file.

    Args:
        path: the file, in UTF-8.
        kind: class of the error.
        code: its identifier.

    Raises:
        FlareMRError: of class `kind`, if there is no such file or it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise kind(
            f"'{path}' cannot be read ({reason_of(error)}).", code=code, hint="Check the path."
        ) from error
    except ValueError as error:
        raise kind(
            f"'{path}' is not TOML ({reason_of(error)}).",
            code=code,
            hint="Correct the file at the place named.",
        ) from error
