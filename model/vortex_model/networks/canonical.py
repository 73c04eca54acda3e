"""What the network sees of any morphology: a nuclear and a cytoplasmic channel on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vortex_model import tissue
from vortex_model.multiscale import Channel, Role

Floats = npt.NDArray[np.float32]
CHANNELS = ("nuclear", "cytoplasm")
BRIGHTEST = 4.0


def canonical(
    voxels: Floats, channels: Sequence[Channel], ranges: Sequence[tuple[float, float]]
) -> Floats:
    """Voxels of any modality as (nuclear, cytoplasm), background 0, bright tissue about 1.

    Brightfield colour becomes optical density: in red, where haematoxylin absorbs and eosin does
    not, and in green, where both do. (Unmixing by fixed stain vectors leaves next to no eosin on
    sections that are stained otherwise, such as HER2ST's.) Else the channels of those roles are
    taken between their dark and bright ends; where a role is missing, the first channel without
    the other role stands in, or the only channel is shown twice. Absolute intensity stays: ranges
    belong to a whole section or volume, not to a patch.

    Parameters
    ----------
    voxels
        (c, z, y, x), the image's own values.
    channels
        Its channels.
    ranges
        (low, high) a channel, from :func:`vortex_model.tissue.channel_ranges`.

    Returns
    -------
    (2, z, y, x) float32.
    """
    if [c.role for c in channels] == ["red", "green", "blue"]:
        density = tissue.optical_density(np.moveaxis(voxels, 0, -1), [high for _, high in ranges])
        seen = np.moveaxis(density[..., :2], -1, 0)
    else:
        nuclear, cytoplasm = _places(channels)
        scaled = tissue.normalise(np.nan_to_num(voxels), ranges)
        seen = scaled[[nuclear, cytoplasm]]
    return np.ascontiguousarray(np.minimum(seen, BRIGHTEST), dtype=np.float32)


def _places(channels: Sequence[Channel]) -> tuple[int, int]:
    def first(role: Role) -> int | None:
        return next((i for i, c in enumerate(channels) if c.role == role), None)

    nuclear, cytoplasm = first("nuclear"), first("cytoplasm")
    if nuclear is None:
        nuclear = next((i for i in range(len(channels)) if i != cytoplasm), cytoplasm or 0)
    if cytoplasm is None:
        cytoplasm = next((i for i in range(len(channels)) if i != nuclear), nuclear)
    return nuclear, cytoplasm
