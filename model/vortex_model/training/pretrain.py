"""Pretraining over many studies: morphology alone, then regression and alignment at spots."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vortex_model.errors import Cancelled, VortexError
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.decoders import CountDecoder
from vortex_model.networks.masked import MaskedAutoencoder
from vortex_model.networks.model import VortexModel
from vortex_model.networks.scgpt import load_scgpt
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.vocabulary import Vocabulary
from vortex_model.networks.weights import read_weights, write_weights
from vortex_model.progress import CurvePoint, Progress, part, silent
from vortex_model.training import engine
from vortex_model.training.checkpoint import read_checkpoint, read_record, write_checkpoint
from vortex_model.training.data import Batch, Collate, MorphologySamples, SpotSamples
from vortex_model.training.data import batches as data_batches
from vortex_model.training.data import contents as study_contents
from vortex_model.training.holdout import HeldOut
from vortex_model.training.recipe import Recipe
from vortex_model.training.spots import Spots, read_spots
from vortex_model.training.steps import AlignedStep, MaskedStep
from vortex_model.training.volumes import Volume

CHECKPOINT = "checkpoint.safetensors"
Batches = Callable[[range], Iterator[Batch]]


def pretrain(
    recipe_path: str | Path,
    out: str | Path,
    progress: Progress = silent,
    *,
    devices: int = 1,
    accelerator: str = "auto",
) -> Path:
    """Run a recipe; a run that was stopped goes on where its last checkpoint is.

    On a CPU with ``precision: float32`` a resumed run ends in the same bits as one that was never
    stopped. Several processes share each batch and end where one process would, within rounding.

    Parameters
    ----------
    recipe_path
        YAML, as :class:`~vortex_model.training.recipe.Recipe` describes it.
    out
        Folder of the run: ``encoder.safetensors`` after the first stage, ``vortex.safetensors``
        after the second, each with its ``.json`` (provenance, studies, versions); ``logs/`` for
        TensorBoard; the checkpoint.
    progress
        Told of the loss and the blocks a second, and, with ``hold_out``, at each checkpoint how
        well those sections are predicted; of the first process only.
    devices
        How many devices; above 1 the program is started once for each.
    accelerator
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    The last stage's weights.

    Raises
    ------
    VortexError
        When the recipe, a study or ``out`` does not do, or a loss is no number.
    Cancelled
        From ``progress``; a checkpoint is written first.
    """
    recipe_path, place = Path(recipe_path), Path(out).expanduser()
    recipe = Recipe.read(recipe_path)
    fabric = engine.make_fabric(recipe, devices, accelerator)
    run = _Run(recipe, recipe_path.resolve().parent, place, fabric, progress)
    try:
        return run.go()
    finally:
        run.log.close()


class _Run:
    """One process of a run."""

    def __init__(
        self, recipe: Recipe, folder: Path, place: Path, fabric: Any, progress: Progress
    ) -> None:
        self.recipe, self.place, self.fabric = recipe, place, fabric
        self.progress = progress if fabric.is_global_zero else silent
        self.folder = folder
        self.log: engine.Log = engine.SilentLog()
        place.mkdir(parents=True, exist_ok=True)
        self.progress(0.0, "opening studies")
        slices = recipe.config().path == "slices"
        self.volumes = [Volume(p, recipe.voxel_um, slices) for p in recipe.paths(folder)]
        names = [v.study.name for v in self.volumes]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise VortexError(f"Two studies are named {twice[0]}. Names in a recipe must differ.")
        self.contents = study_contents(self.volumes, recipe.aligned.steps > 0)
        self.hash = recipe.hash(self.contents)
        self.found = read_record(place / CHECKPOINT)
        if self.found is not None and self.found["hash"] != self.hash:
            raise VortexError(
                f"{place} holds a run of another recipe or of other studies. Choose another "
                "folder, or remove it to start again."
            )

    def go(self) -> Path:
        """Both stages, as far as they are not done yet."""
        if self.fabric.is_global_zero:
            first = self._offset(self.found["stage"]) + self.found["step"] if self.found else 0
            self.log = engine.BoardLog(self.place / "logs", first)
        masked, aligned = self.recipe.masked.steps, self.recipe.aligned.steps
        split = masked / (masked + aligned)
        last = self.place / "encoder.safetensors"
        if masked and not (self.found and self.found["stage"] == "aligned"):
            self._masked(part(self.progress, 0.0, split))
        if aligned:
            last = self._aligned(part(self.progress, split, 1.0))
        self.progress(1.0, f"weights are in {last}")
        return last

    def _masked(self, progress: Progress) -> None:
        torch.manual_seed(self.recipe.seed)
        config, settings = self.recipe.config(align=False), self.recipe.masked
        vit = ViT3D.of(config)
        if self.recipe.weights_2d is not None:
            vit.load_2d(_plain_weights(self.folder / self.recipe.weights_2d))
        step = MaskedStep(
            MaskedAutoencoder(
                vit,
                hidden=settings.hidden,
                width=settings.width,
                depth=settings.depth,
                heads=settings.heads,
            ),
            config,
        )
        samples = MorphologySamples(self.volumes, self.recipe, config)
        for volume in self.volumes:
            progress(0.0, f"finding the tissue of {volume.study.name}")
            _ = volume.tissue_um

        def batches(steps: range) -> Iterator[Batch]:
            return data_batches(samples, Collate(), steps, self._rank, self._world)

        self._train("masked", step, batches, settings.steps, settings.learning_rate, progress)
        self._write("encoder", vit, config, {})

    def _aligned(self, progress: Progress) -> Path:
        settings = self.recipe.aligned
        progress(0.0, "reading sections")
        config = self.recipe.config()
        studies = [v.study for v in self.volumes]
        spots = read_spots(studies, settings.panel, config.rank, settings.hold_out)
        if spots is None:
            raise VortexError(
                f"Recipe {self.recipe.name} has {settings.steps} aligned steps, but its studies "
                "have no measured section. Set aligned: {steps: 0}, or add such a study."
            )
        config = config.but(rank=spots.scores.shape[1])
        torch.manual_seed(self.recipe.seed + 1)
        model = self._network(config, spots)
        start = self.place / "encoder.safetensors"
        if self.recipe.masked.steps:
            model.vit.load_state_dict(read_weights(start)[0])
        elif self.recipe.weights_2d is not None:
            model.vit.load_2d(_plain_weights(self.folder / self.recipe.weights_2d))
        tokeniser = model.expression.tokeniser if model.expression else None
        collate = Collate(
            spots,
            tokeniser,
            tokeniser.vocabulary.numbers(spots.genes) if tokeniser else None,
            counted=model.counts is not None,
        )
        samples = SpotSamples(self.volumes, self.recipe, config, spots)

        def batches(steps: range) -> Iterator[Batch]:
            return data_batches(samples, collate, steps, self._rank, self._world)

        step = AlignedStep(model, torch.from_numpy(spots.variance), self._gather)
        look = None
        if settings.hold_out and self.fabric.is_global_zero:
            held = HeldOut(self.volumes, self.recipe, config, settings.hold_out, spots)

            def look() -> float:
                return held.score(model, self.fabric.device)

        rate = settings.learning_rate
        self._train("aligned", step, batches, settings.steps, rate, progress, look)
        basis = {
            "basis.mean": torch.from_numpy(spots.mean),
            "basis.loadings": torch.from_numpy(np.ascontiguousarray(spots.loadings)),
        }
        record = {"genes": list(spots.genes), **_expression_record(model)}
        return self._write("vortex", model, config, record, basis)

    def _network(self, config: NetworkConfig, spots: Spots) -> VortexModel:
        expression = None
        if config.align and self.recipe.aligned.scgpt is not None:
            expression = load_scgpt(self.folder / self.recipe.aligned.scgpt)
        counts = None
        if config.likelihood == "negative-binomial":
            counts = CountDecoder(torch.from_numpy(spots.mean), torch.from_numpy(spots.loadings))
        return VortexModel(
            config, expression=expression, vocabulary=Vocabulary.of(spots.genes), counts=counts
        )

    # -- the loop --------------------------------------------------------------------------

    def _train(
        self,
        stage: str,
        step: nn.Module,
        batches: Batches,
        steps: int,
        rate: float,
        progress: Progress,
        look: Callable[[], float] | None = None,
    ) -> None:
        recipe, fabric = self.recipe, self.fabric
        optimiser = engine.make_optimiser(step, rate, recipe.weight_decay)
        module, wrapped = fabric.setup(step, optimiser)
        first = 0
        if self.found is not None and self.found["stage"] == stage:
            first = int(self.found["step"])
            # After the set-up, so that the optimiser's state lands where the weights are.
            read_checkpoint(self.place / CHECKPOINT, step, optimiser)
        module.train()
        source = batches(range(first, steps))
        started = time.monotonic()
        for number in range(first, steps):
            # Whatever draws (dropout) draws the same on every try, another on every process.
            torch.manual_seed(((recipe.seed * 1_000_003 + number) * 4096 + self._rank) % 2**63)
            for group in optimiser.param_groups:
                group["lr"] = engine.rate_at(number, steps, rate, recipe.warmup)
            losses = self._step(module, source)
            fabric.clip_gradients(module, wrapped, max_norm=recipe.clip)
            wrapped.step()
            wrapped.zero_grad()
            values = {
                n: float(v)
                for n, v in zip(
                    losses,
                    fabric.all_reduce(torch.stack(list(losses.values())), reduce_op="mean"),
                    strict=True,
                )
            }
            self._check(values, stage, number)
            speed = recipe.batch * (number + 1 - first) / (time.monotonic() - started)
            self.log.add(
                {f"{stage}/{n}": v for n, v in values.items()}
                | {f"{stage}/blocks a second": speed}
                | {f"{stage}/learning rate": optimiser.param_groups[0]["lr"]},
                self._offset(stage) + number,
            )
            done = number + 1
            said = ", ".join(f"{n} {v:.4f}" for n, v in values.items() if n != "total")
            told = f"{stage} {done} of {steps}: {said}; {speed:.1f} blocks/s"
            if done % recipe.checkpoint_every == 0 or done == steps:
                self._checkpoint(stage, step, optimiser, done)
                if look is not None:
                    held = look()
                    self.log.add({f"{stage}/held-out r": held}, self._offset(stage) + number)
                    told = CurvePoint(f"{told}; held-out r {held:.3f}", done, held)
            try:
                progress(done / steps, told)
            except Cancelled:
                self._checkpoint(stage, step, optimiser, done)
                raise

    def _step(self, module: Any, source: Iterator[Batch]) -> dict[str, Tensor]:
        """Forward and backward over the parts of one step; the mean losses."""
        count = self.recipe.accumulate
        total: dict[str, Tensor] = {}
        for number in range(count):
            batch = self.fabric.to_device(next(source))
            last = number == count - 1
            with contextlib.nullcontext() if last else self.fabric.no_backward_sync(module):
                losses = module(batch)
                self.fabric.backward(losses["total"] / count)
            for name, loss in losses.items():
                total[name] = total.get(name, 0.0) + loss.detach() / count
        return total

    def _check(self, values: dict[str, float], stage: str, step: int) -> None:
        bad = [n for n, v in values.items() if not np.isfinite(v)]
        if bad:
            raise VortexError(
                f"The loss {bad[0]} is {values[bad[0]]} at step {step} of stage {stage}. Lower "
                "its learning_rate, or use precision: float32. The last checkpoint is kept."
            )

    # -- what is kept ----------------------------------------------------------------------

    def _checkpoint(
        self, stage: str, step: nn.Module, optimiser: torch.optim.Optimizer, done: int
    ) -> None:
        if self.fabric.is_global_zero:
            record = {"hash": self.hash, "stage": stage, "step": done}
            write_checkpoint(self.place / CHECKPOINT, step, optimiser, record)

    def _write(
        self,
        name: str,
        module: nn.Module,
        config: NetworkConfig,
        record: dict[str, Any],
        extra: dict[str, Tensor] | None = None,
    ) -> Path:
        path = self.place / f"{name}.safetensors"
        if self.fabric.is_global_zero:
            made_by = ("vortex-viewer", "torch", "timm", "lightning-fabric", "numpy")
            whole = {
                "kind": name,
                "config": config.to_json(),
                "voxel_um": list(self.recipe.voxel_um),
                "recipe": {"name": self.recipe.name, "hash": self.hash, "seed": self.recipe.seed},
                "studies": self.contents,
                "hold_out": list(self.recipe.aligned.hold_out),
                "versions": {package: version(package) for package in made_by},
                **record,
            }
            write_weights(path, {**module.state_dict(), **(extra or {})}, whole)
        self.fabric.barrier()
        return path

    def _offset(self, stage: str) -> int:
        """Steps before this stage, for the logs."""
        return self.recipe.masked.steps if stage == "aligned" else 0

    @property
    def _rank(self) -> int:
        return int(self.fabric.global_rank)

    @property
    def _world(self) -> int:
        return int(self.fabric.world_size)

    def _gather(self, rows: Tensor) -> Tensor:
        return rows if self._world == 1 else engine.gather_rows(rows)


def _expression_record(model: VortexModel) -> dict[str, Any]:
    if model.expression is None:
        return {}
    tokeniser = model.expression.tokeniser
    return {
        "expression": model.expression.shape,
        "tokeniser": {
            "vocabulary": dict(tokeniser.vocabulary.tokens),
            "style": tokeniser.style,
            "bins": tokeniser.bins,
            "cls_value": tokeniser.cls_value,
        },
    }


def _plain_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise VortexError(f"The 2D weights {path} cannot be read: {error}") from error
