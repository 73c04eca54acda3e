"""The Study that notebooks and scripts use: the store on disk with its verbs at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from vortex_model.analysis.verbs import Verbs
from vortex_model.cluster import crew_at
from vortex_model.features import Features, compute_features
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent


class Study(Verbs):
    """One tissue block; see :class:`vortex_model.study.Study` for what it holds.

    Examples
    --------
    >>> from vortex_model import Study
    >>> study = Study.open("block.zarr")  # doctest: +SKIP
    >>> study.finetune(sections=["C4"]).gene("ERBB2")  # doctest: +SKIP
    """

    def features(
        self,
        encoder: str = "texture",
        *,
        spacing_um: float | None = None,
        progress: Progress = silent,
        scheduler: str | None = None,
    ) -> Features:
        """Encode the morphology on the token lattice, or find that it was done before.

        Parameters
        ----------
        encoder
            A name of the registry: ``texture``, ``timm:NAME``.
        spacing_um
            Wanted spacing of the token lattice in-plane; by default derived from the study.
        scheduler
            Address of a Dask scheduler whose workers encode; this process by default.
        """
        with crew_at(scheduler) as crew:
            name = compute_features(
                self, encoder, spacing_um=spacing_um, progress=progress, crew=crew
            )
        return Features.load(self, name)

    def finetune(
        self,
        sections: Sequence[str] | None = None,
        *,
        panel: str = "hvg:1000",
        predictor: str = "gp",
        encoder: str = "texture",
        mode: Literal["fast", "full"] = "fast",
        minutes: float = 5.0,
        others: Sequence[Study] = (),
        coarse_first: bool = False,
        progress: Progress = silent,
        scheduler: str | None = None,
    ) -> Prediction:
        """Learn from measured sections and predict every gene of the panel in the whole block.

        Parameters
        ----------
        sections
            Names of the sections to learn from; all by default.
        panel
            ``hvg:N``, ``top:N``, ``all``, or gene names separated by commas.
        predictor
            ``gp`` (default), ``ridge``, ``knn``, ``nearest`` or ``mean``.
        encoder
            What the morphology is encoded by.
        mode
            ``fast``: frozen features. ``full``: the encoder, which needs weights, is tuned too.
        minutes
            Time that tuning the encoder may take.
        others
            Other measured blocks to learn from too; their features are computed if need be.
        coarse_first
            Where nothing was predicted yet and encoding takes long, first write a prediction from
            a coarse look, for whoever has the study open.
        scheduler
            Address of a Dask scheduler whose workers encode and predict; this process by default.

        Raises
        ------
        VortexError
            When a name is unknown, there is nothing to learn from, or the encoder cannot be tuned.
        """
        from vortex_model.training.finetune import finetune

        with crew_at(scheduler) as crew:
            name = finetune(
                self,
                sections=sections,
                panel=panel,
                predictor=predictor,
                encoder=encoder,
                mode=mode,
                minutes=minutes,
                others=others,
                coarse_first=coarse_first,
                progress=progress,
                crew=crew,
            )
        return Prediction.load(self, name)

    def prediction(self, name: str | None = None) -> Prediction:
        """A prediction by its id; the newest when none is given.

        Raises
        ------
        StudyError
            When nothing was predicted yet.
        """
        return Prediction.load(self, name)

    def evaluate(
        self,
        train: Sequence[str] | None = None,
        test: Sequence[str] | None = None,
        *,
        genes: str | Sequence[str] = "hvg:250",
        predictor: str = "gp",
        encoder: str | Sequence[str] = "texture",
        protocol: str = "sections",
        progress: Progress = silent,
        scheduler: str | None = None,
    ) -> dict[str, Any]:
        """Predict what was not seen and compare; see :func:`vortex_model.evaluate.evaluate`."""
        from vortex_model.evaluate import evaluate

        with crew_at(scheduler) as crew:
            return evaluate(
                self,
                train=train,
                test=test,
                genes=genes,
                predictor=predictor,
                encoder=encoder,
                protocol=protocol,
                progress=progress,
                crew=crew,
            )
