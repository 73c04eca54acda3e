"""Virtual H&E: two channels of fluorescence in the colours of a stained section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.multiscale import Channel

HAEMATOXYLIN = np.array([0.860, 1.000, 0.300], np.float32)
EOSIN = np.array([0.050, 1.000, 0.544], np.float32)
"""What each dye takes of red, green and blue light (Giacomelli et al. 2016)."""
STRENGTH = 1.5
"""How strongly a channel at the top of its window is stained: so that soft tissue in the middle of
its window has eosin's pink, and nuclei in it stay apart from it."""


def stains(channels: Sequence[Channel]) -> tuple[int, int] | None:
    """Which channels stand for haematoxylin and for eosin; None where two such are not there.

    The nuclear channel is haematoxylin. Eosin is the cytoplasm's, or of two channels the other.
    """
    roles = [channel.role for channel in channels]
    if "nuclear" not in roles:
        return None
    nuclear = roles.index("nuclear")
    if "cytoplasm" in roles:
        return nuclear, roles.index("cytoplasm")
    return (nuclear, 1 - nuclear) if len(roles) == 2 else None


def virtual(nuclear: npt.NDArray[Any], soft: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Light through a section that is as strongly stained as two channels are bright.

    Beer-Lambert, with the extinctions of Giacomelli et al., PLoS ONE 11:e0159337 (2016).

    Parameters
    ----------
    nuclear, soft
        Brightness of the nuclear and of the eosin-like channel, 0 to 1, of one shape.

    Returns
    -------
    numpy.ndarray
        Red, green, blue, 0 to 1, (..., 3); white where both channels are dark.
    """
    density = np.multiply.outer(np.asarray(nuclear, np.float32), HAEMATOXYLIN)
    density += np.multiply.outer(np.asarray(soft, np.float32), EOSIN)
    return np.asarray(np.exp(-STRENGTH * density), np.float32)
