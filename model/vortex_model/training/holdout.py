"""The held-out curve of pretraining: how well sections are predicted that are never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from vortex_model.expression import stack
from vortex_model.metrics import pearson
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.model import VortexModel
from vortex_model.study import Study
from vortex_model.training.data import SpotSamples
from vortex_model.training.recipe import Augment, Recipe
from vortex_model.training.spots import Spots
from vortex_model.training.volumes import Volume

STILL = Augment(False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
LOOKS = 256
"""At so many blocks around held-out spots the network is asked each time; always the same ones."""
BATCH = 32


class HeldOut:
    """Blocks around spots of held-out sections, as they are, and what was measured there.

    Parameters
    ----------
    volumes
        The studies' morphologies, in the order of the recipe.
    hold_out
        ``STUDY/SECTION``.
    spots
        What is trained on: its genes, mean and loadings.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        recipe: Recipe,
        config: NetworkConfig,
        hold_out: Sequence[str],
        spots: Spots,
    ) -> None:
        study: list[npt.NDArray[np.int64]] = []
        section: list[npt.NDArray[np.int64]] = []
        points: list[npt.NDArray[np.float64]] = []
        truth: list[npt.NDArray[np.float64]] = []
        for number, volume in enumerate(volumes):
            for name in _sections(volume.study, hold_out):
                found = _expression(volume.study, name, spots.genes)
                truth.append(found)
                where = np.asarray(volume.study.section(name).obsm["spatial"], dtype=np.float64)
                points.append(where[:, ::-1])
                study.append(np.full(len(found), number))
                section.append(np.full(len(found), len(section)))
        self._truth, self._section = np.concatenate(truth), np.concatenate(section)
        held = replace(spots, study=np.concatenate(study), points_um=np.concatenate(points))
        samples = SpotSamples(volumes, replace(recipe, augment=STILL), config, held)
        self._samples = [samples[i] for i in range(LOOKS)]
        self._mean, self._loadings = spots.mean, spots.loadings

    def score(self, model: VortexModel, device: torch.device | str) -> float:
        """Mean Pearson correlation of the genes, within sections; the model is left as it was."""
        training = model.training
        model.eval()
        said = []
        with torch.inference_mode():
            for first in range(0, LOOKS, BATCH):
                some = self._samples[first : first + BATCH]
                tensors = {
                    k: torch.from_numpy(np.stack([s[k] for s in some])).to(device)
                    for k in ("volume", "z_um", "centre")
                }
                block = torch.arange(len(some), device=device)[:, None]
                tokens = model.morphology(tensors["volume"], tensors["z_um"])
                output = model.at(tokens, torch.cat([block, tensors["centre"]], dim=1))
                said.append(output.factors.float().cpu().numpy())
        model.train(training)
        predicted = self._mean + np.concatenate(said) @ self._loadings
        which = np.array([int(s["spot"]) for s in self._samples])
        scores, weights = [], []
        for number in np.unique(self._section[which]):
            own = self._section[which] == number
            known = np.isfinite(self._truth[which[own]]).all(axis=0)
            if own.sum() < 3 or not known.any():
                continue
            measured = self._truth[which[own]][:, known]
            scores.append(float(pearson(predicted[own][:, known], measured).mean()))
            weights.append(int(own.sum()))
        return float(np.average(scores, weights=weights)) if scores else float("nan")


def _sections(study: Study, hold_out: Sequence[str]) -> list[str]:
    return [n for n in study.section_names if f"{study.name}/{n}" in hold_out]


def _expression(study: Study, name: str, genes: Sequence[str]) -> npt.NDArray[np.float64]:
    """Normalised expression (spots, genes); nan for genes that the section did not measure."""
    measured = stack({name: study.section(name)})
    own = set(measured.genes)
    columns = [i for i, gene in enumerate(genes) if gene in own]
    out = np.full((len(measured.totals), len(genes)), np.nan)
    out[:, columns] = measured.expression([genes[i] for i in columns])
    return out
