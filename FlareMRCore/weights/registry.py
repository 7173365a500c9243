"""What weights are: the entries of `resources/weights.json`, and of the file beside a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from FlareMRCore.data.binding import bind_table
from FlareMRCore.data.geometry import Shape, Triple
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.fields import Fields

SCHEMA = 1
"""Number of the file format; it grows when older programs could not read newer files."""

REGISTRY_NAME = "weights.json"

# Letters that are the same in file names of every system; no dot or dash at either end.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_ID = r"[a-z0-9](?:[a-z0-9._-]{0,58}[a-z0-9])?"
_URL = r"https?://\S+"
_VIEW = r"[a-z]+(-[A-Za-z0-9.]+)*"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of an entry.

    Attributes:
        name: file name without folder.
        size: length in bytes.
        sha256: SHA-256 of the content, 64 lower-case hexadecimal digits.
        urls: where it can be downloaded, best first; empty for bundled and user's files.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """How one network of an entry is built and fed.

    Attributes:
        builder: name of the network builder.
        file: name of the file with its state.
        spacing_mm: voxel size (K, J, I) the network was trained at, if it has one.
        fixed_shape: the only input shape (K, J, I) it takes, if there is one; with a spacing it is
            that of sliding windows, without one the region is stretched to it.
        multiple_of: each input axis (K, J, I) is a multiple of this.
        organs: True for one channel per organ and background, False for body part or not.
        views: views for test-time augmentation it was trained for, besides ``"identity"``.
        window_shape: size (K, J, I) of sliding windows; None to run on the whole input.
        margin_mm: what the region of interest is widened by on each side; one number, or three
            for (K, J, I).
        tumor: the last two channels are background and tumor, after those of the organs if any.
        labels_first: labels are decided on the network's grid and then resampled by nearest
            neighbor; False interpolates logits first.
        normalization: how intensities are scaled.
        ct_normalization: the same for CT; None if there is no difference.
    """

    builder: str
    file: str
    spacing_mm: Triple | None
    fixed_shape: Shape | None
    multiple_of: Shape
    organs: bool
    views: tuple[str, ...] = ()
    window_shape: Shape | None = None
    margin_mm: float | Triple = 0.0
    tumor: bool = False
    labels_first: bool = False
    normalization: Normalization = field(default_factory=Normalization)
    ct_normalization: Normalization | None = None


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """Weights one can choose: a coarse network, a fine one, or both.

    Attributes:
        id: stable lower-case identifier, e.g. ``"flaremr"``.
        tumor: network that looks for tumors where the fine one looks for organs, if any.
        modalities: of the images they were made for, ``"MR"`` or ``"CT"``.
        open_license: True if the weights may be used for any purpose.
        provenance: what they were trained on and how, for people to read.
        scores: what was measured, for people to read.
        default: True for the entry that is used when nobody chooses.
    """

    id: str
    version: str
    title: str
    description: str
    license: str
    license_url: str
    open_license: bool
    files: tuple[WeightsFile, ...]
    coarse: NetworkSpec | None
    fine: NetworkSpec | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False
    tumor: NetworkSpec | None = None
    modalities: tuple[str, ...] = ("MR",)

    @property
    def size(self) -> int:
        """Length of all files together in bytes."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> WeightsFile:
        """The file called `name`.

        Raises:
            WeightsError: the entry has no such file.
        """
        for file in self.files:
            if file.name == name:
                return file
        known = ", ".join(file.name for file in self.files)
        raise WeightsError(
            f"Weights '{self.id}' have no file '{name}'; they have {known}.",
            code="weights.unknown-file",
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """The entries of one registry file, in its order."""

    entries: tuple[WeightsEntry, ...] = ()

    def entry(self, weights_id: str) -> WeightsEntry | None:
        """The entry called `weights_id`, or None."""
        return next((entry for entry in self.entries if entry.id == weights_id), None)

    def default_id(self) -> str:
        """Identifier of the entry that is used when nobody chooses.

        Raises:
            WeightsError: no entry is marked as default.
        """
        for entry in self.entries:
            if entry.default:
                return entry.id
        raise WeightsError(
            "No weights are marked as default.",
            code="weights.no-default",
            hint="Name the weights to use: '--weights ID', or the path of a model.",
        )


def load_registry(path: Path | None = None) -> Registry:
    """The registry in `path`, by default the one of this package.

    Raises:
        WeightsError: the file cannot be read or has mistakes; all of them are listed.
    """
    source = path or Path(__file__).parent.parent / "resources" / REGISTRY_NAME
    return Registry(read_entries(source))


def read_entries(path: Path) -> tuple[WeightsEntry, ...]:
    """The entries of a registry file.

    Raises:
        WeightsError: the file cannot be read or has mistakes; all of them are listed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"Cannot read the list of weights {path}: {error.strerror or error}.",
            code="weights.registry",
        ) from error
    return parse_entries(content, str(path))


def parse_entries(content: bytes, source: str) -> tuple[WeightsEntry, ...]:
    """The entries in the text of a registry file; `source` names it in errors.

    Raises:
        WeightsError: the text is no JSON or has mistakes; all of them are listed.
    """
    try:
        # utf-8-sig: some editors put a mark before the first character.
        tree = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise WeightsError(
            f"{source} is not a list of weights: {error}.", code="weights.registry"
        ) from error
    mistakes: list[str] = []
    top = Fields(tree, "", mistakes)
    _check_schema(top, source)
    entries = tuple(_entry(fields) for fields in top.objects("weights"))
    top.finish()
    _note_repeated(top, "id", [entry.id for entry in entries])
    if sum(entry.default for entry in entries) > 1:
        top.note("more than one entry is marked as default")
    if mistakes:
        listing = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise WeightsError(f"Mistakes in {source}:{listing}", code="weights.registry")
    return entries


def entries_as_text(entries: Iterable[WeightsEntry]) -> str:
    """Text of a registry file with these entries; `parse_entries` reads it back."""
    tree = {"schema": SCHEMA, "weights": [asdict(entry) for entry in entries]}
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _check_schema(top: Fields, source: str) -> None:
    """Stop at a newer format, whose other keys would only look like mistakes."""
    schema = top.integer("schema", minimum=1)
    if schema > SCHEMA:
        raise WeightsError(
            f"{source} has format {schema}; this version of FlareMR reads up to {SCHEMA}.",
            code="weights.newer",
            hint="Update FlareMR.",
        )


def _entry(fields: Fields) -> WeightsEntry:
    files = tuple(_file(one) for one in fields.objects("files"))
    names = [file.name for file in files]
    entry = WeightsEntry(
        id=fields.text("id", pattern=_ID, expected="a lower-case identifier"),
        version=fields.text("version", pattern=_NAME, expected="a version such as '1.0'"),
        title=fields.text("title"),
        description=fields.text("description", pattern=r"(?s).*", default=""),
        license=fields.text("license", expected="the name of a license"),
        license_url=fields.text("license_url", pattern=f"({_URL})?", expected="a URL", default=""),
        open_license=fields.flag("open_license"),
        files=files,
        coarse=_network(fields.nested("coarse"), names),
        fine=_network(fields.nested("fine"), names),
        provenance=fields.mapping("provenance"),
        scores=fields.mapping("scores"),
        default=fields.flag("default", default=False),
        tumor=_network(fields.nested("tumor"), names),
        modalities=fields.texts("modalities", pattern="MR|CT", expected="'MR' or 'CT'") or ("MR",),
    )
    if entry.coarse is None and entry.fine is None and entry.tumor is None:
        fields.note("at least one of coarse, fine and tumor is needed")
    # Two names that differ in case only are one file on Windows and macOS.
    _note_repeated(fields, "file name", [name.lower() for name in names])
    fields.finish()
    return entry


def _file(fields: Fields) -> WeightsFile:
    file = WeightsFile(
        name=fields.text("name", pattern=_NAME, expected="a plain file name"),
        size=fields.integer("size", minimum=1),
        sha256=fields.text("sha256", pattern="[0-9a-f]{64}", expected="64 hexadecimal digits"),
        urls=fields.texts("urls", pattern=_URL, expected="http or https URLs"),
    )
    if file.name.lower() == REGISTRY_NAME or file.name.lower().endswith(".part"):
        fields.note(f"name: '{file.name}' is reserved")
    fields.finish()
    return file


def _network(fields: Fields | None, names: list[str]) -> NetworkSpec | None:
    if fields is None:
        return None
    spec = NetworkSpec(
        builder=fields.text("builder", expected="the name of a network"),
        file=fields.text("file", expected="the name of one of the files"),
        spacing_mm=fields.lengths("spacing_mm"),
        fixed_shape=fields.shape("fixed_shape"),
        multiple_of=fields.shape("multiple_of") or (1, 1, 1),
        organs=fields.flag("organs"),
        views=fields.texts("views", pattern=_VIEW, expected="views such as 'flip-K'"),
        window_shape=fields.shape("window_shape"),
        margin_mm=fields.margin("margin_mm"),
        tumor=fields.flag("tumor", default=False),
        labels_first=fields.flag("labels_first", default=False),
        normalization=_normalization(fields, "normalization") or Normalization(),
        ct_normalization=_normalization(fields, "ct_normalization"),
    )
    if spec.file and spec.file not in names:
        fields.note(f"file: '{spec.file}' is none of the entry's files ({', '.join(names)})")
    if spec.spacing_mm is None and spec.fixed_shape is None:
        fields.note("at least one of spacing_mm and fixed_shape is needed")
    fields.finish()
    return spec


def _normalization(fields: Fields, key: str) -> Normalization | None:
    content = fields.mapping(key)
    if not content:
        return None
    value, mistakes = bind_table(content, Normalization, prefix=f"{key}.")
    for mistake in mistakes:
        fields.note(mistake)
    return value


def _note_repeated(fields: Fields, what: str, values: list[str]) -> None:
    for value in sorted({value for value in values if values.count(value) > 1}):
        fields.note(f"{what} '{value}' appears more than once")
