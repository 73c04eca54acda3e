"""Units of length as image files write them -> micrometres."""

from __future__ import annotations

_MICROMETRES = {
    "m": 1e6, "meter": 1e6, "metre": 1e6,
    "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "millimeters": 1e3,
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "micrometre": 1.0, "micrometers": 1.0, "micrometres": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "nanometers": 1e-3,
    "pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4,
    "in": 25400.0, "inch": 25400.0, "dm": 1e5, "decimeter": 1e5, "thou": 25.4, "mil": 25.4,
}  # fmt: skip


def micrometres(unit: object) -> float | None:
    """How many micrometres one ``unit`` is; None for a pixel, or a unit that is not known."""
    return _MICROMETRES.get(str(unit).strip().strip('"').casefold())
