"""What kind of tissue a phantom imitates: one table of sizes and shares an organ."""

from __future__ import annotations

from dataclasses import dataclass

from vortex_model.errors import UnknownNameError


@dataclass(frozen=True)
class Style:
    """Sizes in micrometres and shares of a kind of tissue.

    Attributes
    ----------
    organ
        What it imitates.
    gland_radius_um
        Thinnest and widest duct.
    gap_um
        Stroma between two glands, at least.
    branching
        Chance to branch, a micrometre of growth.
    bend
        How much a duct turns, radians a step of growth.
    axis
        Direction (z, y, x) that growth prefers; its length is how strongly.
    acinus
        How much a blind end swells, as a factor.
    epithelium_um, basal_um, fold_um
        Thickness of luminal epithelium and of the basal layer; height of papillary folds.
    tumour
        Radius of the tumour, as a share of the block's width; 0 for none.
    necrosis_um
        How far from a vessel tumour cells die.
    vessels
        Vessel length, in mm a cubic mm.
    immune
        Immune aggregates a square millimetre of a 0.4 mm thick block.
    fat, muscle
        How much of the stroma is fat or smooth muscle, 0 to 1.
    outline
        How far the tissue reaches towards the block's faces; beyond 1.2 it fills the block.
    """

    organ: str
    gland_radius_um: tuple[float, float]
    gap_um: float
    branching: float
    bend: float
    axis: tuple[float, float, float]
    acinus: float
    epithelium_um: float
    basal_um: float
    fold_um: float
    tumour: float
    necrosis_um: float
    vessels: float
    immune: float
    fat: float
    muscle: float
    outline: float


STYLES = {
    "breast": Style(
        organ="breast",
        gland_radius_um=(36.0, 74.0),
        gap_um=42.0,
        branching=0.0055,
        bend=0.22,
        axis=(0.0, 0.0, 0.0),
        acinus=1.25,
        epithelium_um=17.0,
        basal_um=8.0,
        fold_um=10.0,
        tumour=0.27,
        necrosis_um=125.0,
        vessels=14.0,
        immune=2.2,
        fat=0.45,
        muscle=0.2,
        outline=0.95,
    ),
    "prostate": Style(
        organ="prostate",
        gland_radius_um=(52.0, 105.0),
        gap_um=38.0,
        branching=0.0045,
        bend=0.28,
        axis=(0.0, 0.0, 0.0),
        acinus=1.35,
        epithelium_um=20.0,
        basal_um=7.0,
        fold_um=34.0,
        tumour=0.24,
        necrosis_um=150.0,
        vessels=10.0,
        immune=1.2,
        fat=0.0,
        muscle=0.75,
        outline=0.95,
    ),
    "colorectal": Style(
        organ="colon",
        gland_radius_um=(32.0, 44.0),
        gap_um=14.0,
        branching=0.0006,
        bend=0.1,
        axis=(0.0, 1.6, 0.0),
        acinus=1.15,
        epithelium_um=21.0,
        basal_um=3.0,
        fold_um=2.0,
        tumour=0.25,
        necrosis_um=115.0,
        vessels=12.0,
        immune=3.0,
        fat=0.0,
        muscle=0.25,
        outline=0.95,
    ),
}


def style_named(name: str) -> Style:
    """The style of this name.

    Raises
    ------
    UnknownNameError
        When there is none.
    """
    if name not in STYLES:
        raise UnknownNameError("tissue style", name, list(STYLES))
    return STYLES[name]
