"""The YAML manifest: its keys, and the mistakes that can be seen without opening a data file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from vortex_model.io.limits import DECODED_GIB
from vortex_model.io.raster import Options
from vortex_model.io.schema import Fields, Paths, Problems, load_yaml
from vortex_model.io.spec import (
    ChannelSpec,
    ImageSpec,
    Manifest,
    PlaneSpec,
    PointPlane,
    PointsSpec,
    PoseSpec,
    RegisterSpec,
    SectionSpec,
    SerialSpec,
)
from vortex_model.io.units import micrometres
from vortex_model.multiscale import Channel, Role
from vortex_model.study import Modality, StudyInfo

VERSION = 1
IMAGE_FORMATS = ("tiff", "ome-tiff", "ome-zarr", "nrrd", "nifti", "metaimage", "npy", "picture")
SECTION_FORMATS = (
    "legacy-st", "table", "space-ranger", "xenium", "transcripts", "h5ad", "spatialdata",
)  # fmt: skip
BINNED = ("xenium", "transcripts")
ROLES: tuple[str, ...] = get_args(Role)
PALETTE = ("FFFFFF", "00FFFF", "FF00FF", "FFFF00", "00FF00", "FF8000", "0080FF")
MAX_SPACING_UM = 20_000.0
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")
_SIDES = ({"a", "p"}, {"s", "i"}, {"l", "r"})

#: The files that each format of section reads: key -> what it is, and whether it is needed.
SECTION_FILES: dict[str, dict[str, tuple[str, bool]]] = {
    "legacy-st": {
        "counts": ("the spots-by-genes table, .tsv or .tsv.gz", True),
        "spots": ("the spot file with x, y, pixel_x, pixel_y", True),
    },
    "table": {
        "counts": ("spots-by-genes counts: .npz, .mtx, .tsv or .csv", True),
        "spots": ("the table of spots, one row a row of counts", True),
        "genes": ("gene names, one a line, for .npz and .mtx", False),
    },
    "space-ranger": {"path": ("the 'outs' folder", True)},
    "xenium": {"path": ("Xenium's output folder", True)},
    "transcripts": {"path": ("the table of transcripts: .csv, .csv.gz, .tsv or .parquet", True)},
    "h5ad": {"path": ("the .h5ad file", True)},
    "spatialdata": {"path": ("the SpatialData .zarr folder", True)},
}


def read_manifest(path: Path, root: Path | None, problems: Problems) -> Manifest:
    """Read a manifest; mistakes go to ``problems``.

    Parameters
    ----------
    root
        What relative paths are relative to; the manifest's own folder when left out.

    Raises
    ------
    VortexError
        When it is no YAML mapping at all.
    """
    top = Fields(load_yaml(path), "", problems)
    paths = Paths(root if root is not None else path.parent)
    if not paths.root.is_dir():
        problems.add("--root", f"there is no folder {paths.root}. Give the folder of the data.")
    version = top.number("version", required=True, what=f"the manifest's version, {VERSION}")
    if version is not None and version != VERSION:
        top.add(f"version {version:g} is not known; this program reads version {VERSION}.")
    gib = top.number("max_decoded_gib", DECODED_GIB, above=0.0) or DECODED_GIB
    info = _info(top)
    volume, points = _volume(top, paths, gib)
    part = top.part("serial")
    serial = _serial(part, paths, gib) if part else None
    if part and top.has("volume"):
        top.add("both 'volume' and 'serial' are given; a study has one morphology. Keep one.")
    planes = [plane.name for plane in serial.planes] if serial else []
    sections = tuple(_section(f, paths, planes, serial is not None) for f in top.parts("sections"))
    labels = tuple(_label(fields, gib) for fields in top.parts("labels"))
    for key, names in (
        ("sections", [s.name for s in sections]),
        ("labels", [label.name for label in labels]),
        ("serial.planes", planes),
    ):
        for name in sorted({n for n in names if n and names.count(n) > 1}):
            problems.add(
                key, f"the name {name!r} is given {names.count(name)} times; name each once."
            )
    if not (top.has("volume") or part or sections):
        top.add("nothing to import: give 'volume', 'serial' or 'sections'.")
    if labels and not (top.has("volume") or part):
        top.add("'labels' need a 'volume' or 'serial' that they lie on.")
    top.end()
    return Manifest(info, paths.root, volume, points, serial, sections, labels)


def _info(top: Fields) -> StudyInfo:
    name = top.text("name", required=True, what="what the study is called")
    modality = top.choice("modality", get_args(Modality), "other")
    texts = {key: top.text(key) for key in ("organ", "species", "description", "source", "licence")}
    return StudyInfo(
        name=name,
        modality=modality,  # type: ignore[arg-type]
        notes=top.texts("notes"),
        **texts,
    )


def _volume(top: Fields, paths: Paths, gib: float) -> tuple[ImageSpec | None, PointsSpec | None]:
    fields = top.part("volume")
    if fields is None:
        return None, None
    if fields.text("format") == "points":
        return None, _points(fields, paths)
    return _image(fields, gib), None


def _image(fields: Fields, gib: float) -> ImageSpec:
    channels = _channels(fields)
    apart = [c for c in channels if c.path]
    path = fields.text("path", required=not apart, what="the image file or folder of planes")
    if apart and path:
        fields.add("both 'path' and channels with their own 'path' are given. Keep one way.")
    if apart and len(apart) != len(channels):
        fields.add("some channels have a 'path' and some have none. Give each channel its path.")
    unit = fields.text("spacing_unit")
    if unit and micrometres(unit) is None:
        fields.problems.add(
            fields.at("spacing_unit"), f"{unit!r} is no length; write mm, um or nm."
        )
    orientation = fields.text("orientation").lower()
    if orientation and not (
        len(orientation) == 3 and all(len(side & set(orientation)) == 1 for side in _SIDES)
    ):
        fields.problems.add(
            fields.at("orientation"),
            f"{orientation!r} is none; write for z, y, x the side where each begins, as psl "
            "(posterior, superior, left).",
        )
    axes = fields.text("axes").lower()
    if axes and (len(set(axes)) != len(axes) or set(axes) - set("tczyxs")):
        fields.problems.add(fields.at("axes"), f"{axes!r}: write each of c, z, y, x once, as czyx.")
    spec = ImageSpec(
        where=fields.where,
        path=path,
        format=fields.choice("format", IMAGE_FORMATS, "") if fields.has("format") else "",
        spacing_um=_triple(fields, "spacing_um", 0.0, MAX_SPACING_UM),
        override=fields.flag("override_file_spacing", False),
        origin_um=_triple(fields, "origin_um", None, None),
        channels=channels,
        options=Options(
            axes=axes,
            series=_whole(fields, "series"),
            level=_whole(fields, "level"),
            unit=unit,
            decoded_gib=gib,
        ),
        orientation=orientation,
        name=fields.text("name") if fields.where.startswith("labels") else "",
    )
    fields.end()
    return spec


def _label(fields: Fields, gib: float) -> ImageSpec:
    _name(fields)
    return _image(fields, gib)


def _triple(
    fields: Fields, key: str, above: float | None, most: float | None
) -> tuple[float, float, float] | None:
    got = fields.numbers(key, 3, above=above, most=most, what="z, y, x in micrometres")
    return None if got is None else (got[0], got[1], got[2])


def _whole(fields: Fields, key: str) -> int:
    value = fields.number(key, 0.0, above=-1.0, what="a whole number from 0") or 0.0
    if value != int(value):
        fields.problems.add(fields.at(key), f"is {value:g}; write a whole number from 0.")
    return int(value)


def _channels(fields: Fields) -> tuple[ChannelSpec, ...]:
    found = []
    for number, part in enumerate(fields.parts("channels")):
        color = part.text("color", PALETTE[number % len(PALETTE)]).lstrip("#").upper()
        if not re.fullmatch(r"[0-9A-F]{6}", color):
            part.problems.add(
                part.at("color"),
                f'{color!r} is no colour; write six hex digits in quotes, as "00FFFF".',
            )
            color = "FFFFFF"
        name = part.text("name", required=True, what="the channel's name")
        role: Any = part.choice("role", ROLES, "other")
        index = _whole(part, "index") if part.has("index") else None
        found.append(ChannelSpec(Channel(name, role, color), part.text("path"), index))
        part.raw("index")
        part.end()
    return tuple(found)


def _points(fields: Fields, paths: Paths) -> PointsSpec | None:
    fields.text("format")
    place = paths.place(fields, "path", what="the table of points, .csv or .csv.gz")
    columns = fields.texts("columns")
    for key in ("x", "y", "plane"):
        if key not in columns:
            fields.problems.add(
                fields.at("columns"), f"{key!r} is missing: name the column that holds it."
            )
    for key in set(columns) - {"x", "y", "plane"}:
        fields.problems.add(fields.at("columns"), f"the key {key!r} is not known; x, y, plane are.")
    planes = []
    for part in fields.parts("planes"):
        value = part.text("value", required=True, what="the value that marks the plane's rows")
        z_um = part.number("z_um", required=True, what="the plane's place in micrometres")
        part.end()
        planes.append(PointPlane(value, z_um or 0.0))
    if not planes:
        fields.add("'planes' is missing: list each plane's 'value' and 'z_um'.")
    spacing = _triple(fields, "spacing_um", 0.0, MAX_SPACING_UM)
    if spacing is None and not fields.has("spacing_um"):
        fields.add("'spacing_um' is missing: the voxels' z, y, x in micrometres.")
    unit = fields.number("um_per_unit", required=True, above=0.0, what="micrometres a unit of x, y")
    radius = fields.number(
        "radius_um", required=True, above=0.0, what="how wide a point is drawn, in micrometres"
    )
    bounds = fields.matrix("bounds_um", [(2, 2)], "[[x from, x to], [y from, y to]] in micrometres")
    if bounds and any(low >= high for low, high in bounds):
        fields.problems.add(fields.at("bounds_um"), f"is {bounds}; from comes before to.")
        bounds = None
    spec = PointsSpec(
        where=fields.where,
        path=place,
        x=columns.get("x", ""),
        y=columns.get("y", ""),
        plane=columns.get("plane", ""),
        values=_names(fields, "values"),
        require=_names(fields, "require"),
        um_per_unit=unit or 1.0,
        spacing_um=spacing or (1.0, 1.0, 1.0),
        radius_um=radius or 1.0,
        bounds_um=None
        if bounds is None
        else ((bounds[0][0], bounds[0][1]), (bounds[1][0], bounds[1][1])),
        planes=tuple(sorted(planes, key=lambda p: p.z_um)),
        between=fields.choice("between", ("nearest", "linear"), "linear"),  # type: ignore[arg-type]
    )
    fields.end()
    return spec


def _names(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.raw(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        fields.problems.add(fields.at(key), f"is {value!r}; write a list of column names.")
        return ()
    return tuple(value)


def _serial(fields: Fields, paths: Paths, gib: float) -> SerialSpec:
    spacing = fields.number("spacing_um", above=0.0, most=MAX_SPACING_UM, what="micrometres")
    parts = fields.parts("planes")
    if not parts:
        fields.add("'planes' is missing: list the section images.")
    planes = [_plane(part, paths) for part in parts]
    names = [plane.name for plane in planes]
    reference = fields.text("reference")
    if reference and reference not in names:
        fields.problems.add(
            fields.at("reference"),
            f"no plane is named {reference!r}; there are {', '.join(names)}.",
        )
    for plane in planes:
        to = plane.pose.register.to
        if to and (to not in names or to == plane.name):
            fields.problems.add(
                f"{plane.where}.pose", f"'to' is {to!r}; name another plane: {', '.join(names)}."
            )
    spec = SerialSpec(
        where=fields.where,
        spacing_um=spacing,
        z_spacing_um=fields.number(
            "z_spacing_um", above=0.0, most=MAX_SPACING_UM, what="micrometres"
        ),
        reference=reference,
        between=fields.choice("between", ("nearest", "linear"), "nearest"),  # type: ignore[arg-type]
        frame=fields.choice("frame", ("tissue", "images"), "tissue"),  # type: ignore[arg-type]
        channels=_channels(fields),
        planes=tuple(sorted(planes, key=lambda p: p.z_um)),
        options=Options(decoded_gib=gib),
    )
    fields.end()
    return spec


def _plane(fields: Fields, paths: Paths) -> PlaneSpec:
    name = _name(fields)
    spec = PlaneSpec(
        where=fields.where,
        name=name,
        image=fields.text("image", required=True, what="the section's image file"),
        um_per_pixel=_pixel(fields),
        z_um=fields.number("z_um", required=True, what="the plane's place in micrometres") or 0.0,
        pose=_pose(fields, paths, default="register"),
    )
    fields.end()
    return spec


def _pixel(fields: Fields) -> tuple[float, float] | None:
    value = fields.raw("um_per_pixel")
    if isinstance(value, list):
        got = fields.numbers("um_per_pixel", 2, above=0.0, most=1000.0, what="y, x micrometres")
        return None if got is None else (got[0], got[1])
    one = fields.number("um_per_pixel", above=0.0, most=1000.0, what="micrometres a pixel")
    return None if one is None else (one, one)


def _pose(fields: Fields, paths: Paths, default: str) -> PoseSpec:
    value = fields.raw("pose")
    if value is None:
        return PoseSpec(kind=default)  # type: ignore[arg-type]
    if value in ("none", "register") and (value == "none" or default == "register"):
        return PoseSpec(kind=value)
    part = Fields(value, fields.at("pose"), fields.problems)
    given = [key for key in ("affine", "landmarks", "register") if part.has(key)]
    if len(given) != 1:
        part.add("give one of affine, landmarks, register (or the word none).")
        return PoseSpec(kind="none")
    affine = part.matrix(
        "affine",
        [(2, 3), (3, 3)],
        "2 rows (x, y of the study) or 3 (x, y, z) of 3 numbers: [for x, for y, shift in um]",
    )
    landmarks = paths.place(part, "landmarks", required=False, what="a CSV of landmarks")
    inner = part.part("register")
    register, image, pixel = RegisterSpec(), "", None
    if inner is not None:
        register = RegisterSpec(
            model=inner.choice("model", ("rigid", "affine", "bspline"), "affine"),
            mirror=inner.flag("mirror", True),
            to=inner.text("to") if default == "register" else "",
        )
        if default == "none":
            image = inner.text("image", required=True, what="the section's own image")
            pixel = _pixel(inner)
        inner.end()
    part.end()
    kind: Any = given[0]
    return PoseSpec(kind, affine, landmarks, register, image, pixel)


def _name(fields: Fields) -> str:
    name = fields.text("name", required=True, what="a name of its own")
    if name and not _NAME.match(name):
        fields.problems.add(
            fields.at("name"),
            f"{name!r} cannot be a folder's name; use letters, digits, and . _ + - (80 at most).",
        )
    return name


def _section(fields: Fields, paths: Paths, planes: list[str], serial: bool) -> SectionSpec:
    name = _name(fields)
    form = fields.choice("format", SECTION_FORMATS)
    files = {}
    for key, (what, required) in SECTION_FILES.get(form, {}).items():
        place = paths.place(fields, key, required=required, what=what)
        if place is not None:
            files[key] = place
    plane = fields.text("plane")
    if plane and plane not in planes:
        fields.problems.add(
            fields.at("plane"),
            f"no plane is named {plane!r}; "
            + (f"'serial' has {', '.join(planes)}." if serial else "the study has no 'serial'."),
        )
    pose = _pose(fields, paths, default="none")
    if plane and pose.kind != "none":
        fields.add("both 'plane' and 'pose' are given; the plane has its own pose. Keep one.")
    spec = SectionSpec(
        where=f"{fields.where} ({name})" if name else fields.where,
        name=name,
        format=form,
        paths=files,
        columns=fields.texts("columns"),
        select=fields.texts("select"),
        spot_diameter_um=fields.number("spot_diameter_um", above=0.0, most=5000.0, what="um"),
        um_per_unit=fields.number("um_per_pixel", above=0.0, most=1000.0, what="um a pixel"),
        z_um=fields.number("z_um", what="the plane's place in micrometres"),
        plane=plane,
        pose=pose,
        layer=fields.text("layer"),
        spatial=fields.text("spatial"),
        duplicate_genes=fields.choice("duplicate_genes", ("error", "sum"), "error"),
        off_image=fields.choice("off_image", ("error", "drop"), "error"),
        unplaced=fields.choice("unplaced", ("error", "drop"), "error"),
        bin_um=fields.number("bin_um", above=0.0, most=5000.0, what="um"),
        min_quality=fields.number("min_quality"),
    )
    if form not in BINNED and (spec.bin_um is not None or spec.min_quality is not None):
        fields.add(f"'bin_um' and 'min_quality' are for {' and '.join(BINNED)}. Take them out.")
    fields.end()
    return spec
