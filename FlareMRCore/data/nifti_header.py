"""The header of NIfTI-1 and NIfTI-2 files: fields, grid, and the rule for sform and qform.

Rule, the one of ITK and so of 3D Slicer: a form counts if its code is above 0 and its matrix
usable. Of two forms the sform is taken if they agree or its code says scanner space, else the
qform, because the sform then leads to another space. Without any form the axes run to the left,
posterior, superior from origin 0. Contradictions and missing forms are reported.

Source: R. W. Cox et al., nifti1.h and nifti2.h (NIfTI Data Format Working Group); ITK 5.4,
itk::NiftiImageIO::SetImageIOOrientationFromNIfTI.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from FlareMRCore.data.geometry import FloatArray, Geometry, Shape
from FlareMRCore.data.repair import orthonormalized, skewness
from FlareMRCore.errors import GeometryError, VolumeFormatError

GEOMETRY_FIELDS = ("qform_code", "sform_code", "quatern", "qoffset", "srow")
SCANNER_CODE = 1
FORM_TOLERANCE = 0.1
"""Part of a voxel by which sform and qform may differ without a word."""

MILLIMETERS_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Spatial unit codes: unknown (taken as mm), meter, millimeter, micrometer."""

_FIELDS: dict[str, tuple[tuple[str, int], tuple[str, int]]] = {
    # name: (format and offset in NIfTI-1, the same in NIfTI-2)
    "sizeof_hdr": (("i4", 0), ("i4", 0)),
    "dim": (("8i2", 40), ("8i8", 16)),
    "datatype": (("i2", 70), ("i2", 12)),
    "bitpix": (("i2", 72), ("i2", 14)),
    "pixdim": (("8f4", 76), ("8f8", 104)),
    "vox_offset": (("f4", 108), ("i8", 168)),
    "scl_slope": (("f4", 112), ("f8", 176)),
    "scl_inter": (("f4", 116), ("f8", 184)),
    "xyzt_units": (("u1", 123), ("i4", 500)),
    "qform_code": (("i2", 252), ("i4", 344)),
    "sform_code": (("i2", 254), ("i4", 348)),
    "quatern": (("3f4", 256), ("3f8", 352)),
    "qoffset": (("3f4", 268), ("3f8", 376)),
    "srow": (("(3,4)f4", 280), ("(3,4)f8", 400)),
    "magic": (("V4", 344), ("V8", 4)),
}
_SIZES = {1: 348, 2: 540}
_MAGIC = {1: b"n+1\0", 2: b"n+2\0\r\n\x1a\n"}


def _layout(version: int) -> np.dtype[np.void]:
    columns = [forms[version - 1] for forms in _FIELDS.values()]
    return np.dtype(
        {
            "names": list(_FIELDS),
            "formats": [form for form, _ in columns],
            "offsets": [offset for _, offset in columns],
            "itemsize": _SIZES[version],
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """Parsed header.

    Attributes:
        version: 1 or 2.
        byte_order: ``"<"`` or ``">"``, also that of the pixels.
        fields: the fields by name, in this computer's byte order.
        raw: the header as stored.
    """

    version: int
    byte_order: str
    fields: NDArray[np.void]
    raw: bytes

    def __getitem__(self, name: str) -> Any:
        return self.fields[name][()]

    @property
    def shape(self) -> Shape:
        """Voxels along (K, J, I)."""
        i, j, k = (int(n) for n in self["dim"][1:4])
        return k, j, i

    @property
    def in_one_file(self) -> bool:
        """False for a header (.hdr) whose pixels are in a second file (.img)."""
        return bytes(self["magic"])[:2] == b"n+"


def open_stream(path: Path) -> BinaryIO:
    """Stream of the file's content, decompressed if it starts as gzip does, whatever its name."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path, "rb")) if compressed else path.open("rb")


def parse_header(raw: bytes) -> NiftiHeader | None:
    """Header that starts `raw`, or None if these bytes are no NIfTI header."""
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        size = int(np.frombuffer(raw[:4], order + "i4")[0]) if len(raw) >= 4 else 0
        version = next((v for v, n in _SIZES.items() if n == size), None)
        if version is None or len(raw) < size:
            continue
        stored = np.frombuffer(raw[:size], _layout(version).newbyteorder(order)).reshape(())
        if bytes(stored["magic"][()])[:2] in (b"n+", b"ni"):
            fields = stored.astype(_layout(version))
            return NiftiHeader(version, order, fields, raw[:size])
    return None


def header_affine(header: NiftiHeader) -> tuple[FloatArray, tuple[str, ...]]:
    """Matrix from (k, j, i, 1) to RAS mm by the rule of this module, and what to report."""
    sform = _usable(_sform(header)) if header["sform_code"] > 0 else None
    qform = _usable(_qform(header)) if header["qform_code"] > 0 else None
    notes = [
        f"The {name} of the file is unusable and was passed over."
        for name, form in (("sform", sform), ("qform", qform))
        if header[f"{name}_code"] > 0 and form is None
    ]
    chosen = sform if sform is not None else qform
    if sform is not None and qform is not None:
        gap_mm = _disagreement_mm(sform, qform, header.shape)
        if gap_mm > 0.0:
            in_scanner_space = header["sform_code"] == SCANNER_CODE
            chosen = sform if in_scanner_space else qform
            notes.append(
                f"sform and qform of the file contradict each other by up to {gap_mm:.1f} mm; "
                f"the {'sform' if in_scanner_space else 'qform'} is used."
            )
    if chosen is None:
        right, anterior, superior = np.abs(header["pixdim"][1:4]).astype(np.float64).tolist()
        chosen = np.diag([-right, -anterior, superior, 1.0])
        notes.append(
            "The file does not say how it lies in the patient (sform and qform are unset); its "
            "axes are taken as left, posterior, superior. Left and right may be swapped."
        )
    scale = MILLIMETERS_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if scale != 1.0:
        notes.append(f"The unit of the file is {scale:g} mm; converted to mm.")
    matrix = chosen[:, [2, 1, 0, 3]] * scale
    matrix[3, 3] = 1.0
    return matrix, tuple(notes)


def new_header(
    shape: Shape, datatype: tuple[int, int], affine: FloatArray, source: bytes | None
) -> bytes:
    """Header of a 3-D file: NIfTI-1, little-endian, or the version of `source`.

    With a source, all its geometry fields are copied bit by bit, so that every program shows
    the new file where it shows the source. Without one, sform and qform are both set.

    Args:
        shape: voxels along (K, J, I).
        datatype: NIfTI code and bits per voxel.
        affine: 4x4 matrix from (k, j, i, 1) to RAS mm; used if there is no source.
        source: header bytes of the file whose grid is to be repeated.
    """
    template = parse_header(source) if source is not None else None
    version = template.version if template else 1
    fields = np.zeros((), _layout(version).newbyteorder("<"))
    fields["sizeof_hdr"] = _SIZES[version]
    fields["magic"] = np.void(_MAGIC[version])
    fields["vox_offset"] = _SIZES[version] + 4
    fields["datatype"], fields["bitpix"] = datatype
    fields["dim"] = (3, *reversed(shape), 1, 1, 1, 1)
    fields["scl_slope"] = 1.0
    if template is None:
        _set_forms(fields, affine, shape)
    else:
        for name in GEOMETRY_FIELDS:
            fields[name] = template[name]
        fields["pixdim"][:4] = template["pixdim"][:4]
        fields["xyzt_units"] = int(template["xyzt_units"]) & 7
    return fields.tobytes() + bytes(4)


def _set_forms(fields: NDArray[np.void], affine: FloatArray, shape: Shape) -> None:
    right_angled = orthonormalized(Geometry.from_affine(affine, shape))
    columns = np.array(right_angled.direction[::-1]).T
    handedness = -1.0 if np.linalg.det(columns) < 0 else 1.0
    columns[:, 2] *= handedness
    quaternion = Rotation.from_matrix(columns).as_quat()
    if quaternion[3] < 0:
        quaternion = -quaternion
    fields["xyzt_units"] = 2
    fields["pixdim"] = (handedness, *reversed(right_angled.spacing_mm), 1, 1, 1, 1)
    fields["srow"] = affine[:3, [2, 1, 0, 3]]
    fields["sform_code"] = fields["qform_code"] = SCANNER_CODE
    fields["quatern"] = quaternion[:3]
    fields["qoffset"] = affine[:3, 3]
    if skewness(Geometry.from_affine(affine, shape)) > FORM_TOLERANCE:
        # A qform cannot hold shear: better none than one that contradicts the sform.
        fields["qform_code"] = 0


def _sform(header: NiftiHeader) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3] = header["srow"]
    return matrix


def _qform(header: NiftiHeader) -> FloatArray:
    vector = np.asarray(header["quatern"], dtype=np.float64)
    real = np.sqrt(max(0.0, 1.0 - float(vector @ vector)))
    pixdim = np.asarray(header["pixdim"], dtype=np.float64)
    matrix = np.eye(4)
    if not np.isfinite(vector).all():
        matrix[:3, :3] = np.nan
        return matrix
    spacing = np.abs(pixdim[1:4]) * (1.0, 1.0, -1.0 if pixdim[0] < 0 else 1.0)
    matrix[:3, :3] = Rotation.from_quat([*vector, real]).as_matrix() * spacing
    matrix[:3, 3] = header["qoffset"]
    return matrix


def _usable(matrix: FloatArray) -> FloatArray | None:
    """The matrix, or None if no geometry can be made of it."""
    if not np.isfinite(matrix).all():
        return None
    try:
        Geometry.from_affine(matrix, (1, 1, 1))
    except GeometryError:
        return None
    return matrix


def _disagreement_mm(sform: FloatArray, qform: FloatArray, shape: Shape) -> float:
    """Largest distance between the corners of both grids; 0 if it does not matter."""
    sizes = (shape[2], shape[1], shape[0])
    first, second = (Geometry.from_affine(form, sizes) for form in (sform, qform))
    gap_mm = float(np.linalg.norm(first.corners() - second.corners(), axis=1).max())
    return gap_mm if gap_mm > FORM_TOLERANCE * min(first.spacing_mm) else 0.0


def read_header(path: Path) -> NiftiHeader:
    """Header of the file.

    Raises:
        VolumeFormatError: not a NIfTI file, or shorter than its header.
    """
    try:
        with open_stream(path) as stream:
            header = parse_header(stream.read(max(_SIZES.values())))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        header = None
    if header is None:
        raise VolumeFormatError(
            f"'{path}' has no NIfTI header.",
            code="input.unreadable",
            hint="The file is damaged or not NIfTI; export the image again.",
        )
    return header
