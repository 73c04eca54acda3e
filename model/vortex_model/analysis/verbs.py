"""The questions as verbs of a study, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model import study as store
from vortex_model.analysis import regions as kept
from vortex_model.analysis.differential import Comparison, compare
from vortex_model.analysis.domains import Domains, find_domains
from vortex_model.analysis.profiles import region_genes
from vortex_model.analysis.regions import Region
from vortex_model.analysis.segmentation import (
    FeatureSource,
    Learner,
    Segmentation,
    Stroke,
    keep_labels,
)
from vortex_model.analysis.shapes import Shape
from vortex_model.analysis.signatures import signature
from vortex_model.errors import UnknownNameError
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent

RegionLike: TypeAlias = Region | str
"""A region, or the name of one that is kept with the study."""


class Verbs(store.Study):
    """What can be asked of a study's prediction; the current one unless another is given."""

    @property
    def regions(self) -> dict[str, Region]:
        """The regions that are kept with the study, by name."""
        return kept.saved(self)

    def draw_region(
        self, name: str, shape: Shape, *, prediction: Prediction | None = None, keep: bool = True
    ) -> Region:
        """Draw a shape on the prediction's lattice, and keep it with the study.

        Raises
        ------
        VortexError
            When no token lies inside, or what the shape asks for is not there.
        """
        region = kept.make_region(name, shape, self._prediction(prediction), self)
        if keep:
            kept.save(self, region)
        return region

    def remove_region(self, name: str) -> None:
        """Forget a region.

        Raises
        ------
        UnknownNameError
            When the study has none of this name.
        """
        kept.remove(self, name)

    def region_genes(
        self,
        region: RegionLike,
        names: Sequence[str] | None = None,
        *,
        prediction: Prediction | None = None,
    ) -> pd.DataFrame:
        """Every gene in a region: see :func:`vortex_model.analysis.profiles.region_genes`."""
        chosen = self._prediction(prediction)
        return region_genes(chosen, self._mask(region, chosen), names)

    def compare(
        self,
        first: RegionLike,
        second: RegionLike | None = None,
        *,
        prediction: Prediction | None = None,
        permutations: int = 4999,
        progress: Progress = silent,
    ) -> Comparison:
        """Every gene between two regions: see :func:`vortex_model.analysis.differential.compare`.

        Without a second region, the rest of the tissue.
        """
        chosen = self._prediction(prediction)
        other = None if second is None else self._mask(second, chosen)
        return compare(
            chosen,
            self._mask(first, chosen),
            other,
            permutations=permutations,
            progress=progress,
        )

    def signature(self, formula: str, *, prediction: Prediction | None = None) -> Any:
        """A formula such as ``mean(KRT8, KRT18) - VIM`` as a volume (an xarray.DataArray).

        Raises
        ------
        VortexError
            When the formula cannot be read, or names a gene that was not predicted.
        """
        chosen = self._prediction(prediction)
        return chosen.expression(signature(formula, list(chosen.genes.index)).weights)

    def domains(
        self,
        count: int | None = None,
        *,
        smooth_um: float | None = None,
        prediction: Prediction | None = None,
        progress: Progress = silent,
    ) -> Domains:
        """Parts that express alike: see :func:`vortex_model.analysis.domains.find_domains`."""
        return find_domains(
            self._prediction(prediction), count, smooth_um=smooth_um, progress=progress
        )

    def segment(
        self, strokes: Sequence[Stroke], features: FeatureSource, *, progress: Progress = silent
    ) -> Segmentation:
        """Classes of the whole block from a few painted strokes, by the features."""
        return Learner(features, progress).learn(strokes)

    def keep_labels(
        self,
        name: str,
        labels: npt.NDArray[np.integer[Any]],
        grid: Grid,
        classes: Mapping[int, str],
    ) -> None:
        """Keep labels (z, y, x), such as domains or a segmentation, as a label image."""
        keep_labels(self, name, labels, grid, classes)

    # -- inner -----------------------------------------------------------------------------

    def _prediction(self, prediction: Prediction | None) -> Prediction:
        return Prediction.load(self) if prediction is None else prediction

    def _mask(self, region: RegionLike, prediction: Prediction) -> npt.NDArray[np.bool_]:
        if isinstance(region, str):
            have = self.regions
            if region not in have:
                raise UnknownNameError("region", region, list(have))
            region = have[region]
        return region.on(prediction.grid).mask
