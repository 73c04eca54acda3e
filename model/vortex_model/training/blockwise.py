"""Networks for all spatial blocks, each trained without its own, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vortex_model.errors import VortexError
from vortex_model.expression import Basis
from vortex_model.metrics import pearson
from vortex_model.networks.lora import load_trained, trained_state
from vortex_model.networks.tail import Tail
from vortex_model.predictors.base import Floats
from vortex_model.predictors.blocks import folds
from vortex_model.progress import CurvePoint, Progress, part
from vortex_model.training.model import learn_basis
from vortex_model.training.samples import Sample
from vortex_model.training.trunks import VIEWS, Trunk

CACHE_BYTES = 600 << 20
"""How much the hidden tokens of the spots' views may take."""
BATCH = 32
MOST_PLACES, LEAST_PLACES = 2500, 200
"""At so many places the tuned networks look; in between, they are interpolated."""
MEAN_SPOTS = 400
READ_SHARE, LATTICE_SHARE = 0.2, 0.35
"""Parts of the time that may go into more than one view of each spot, and into those places."""
TRIAL, LEFT = 24, 0.85
"""So many places are predicted to see how long each takes; part of the time left that they get."""
JUDGED_S = 5.0
"""After so long it is plain whether the time will do."""
PASSES = 3
"""Reading the spots once and learning from them once takes about as long as reading so often."""


@dataclass(frozen=True)
class Settings:
    """How full fine-tuning goes about it.

    Attributes
    ----------
    last
        How many of the encoder's last blocks get adapters.
    adapter_rank
        Of the adapters.
    epochs, patience
        At most so many rounds; stop after so many without a better held-out curve.
    rate, decay
        Learning rate and weight decay.
    align
        Weight of the alignment of morphology with expression; 0 for regression alone.
    minutes
        Time that it may take. Training ends early where time runs out; the same settings then
        need not give the same numbers, and the model's record says so.
    seed
        Of everything that is drawn.
    """

    last: int = 2
    adapter_rank: int = 8
    epochs: int = 24
    patience: int = 5
    rate: float = 1e-3
    decay: float = 0.05
    align: float = 0.0
    minutes: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("last", "adapter_rank", "epochs", "patience", "rate", "minutes"):
            if not getattr(self, name) > 0:
                raise VortexError(f"{name} must be above 0, not {getattr(self, name)}.")


class Blockwise:
    """Networks for all blocks, trained side by side.

    Attributes
    ----------
    held
        Factors of each spot, said by the network that did not see its block, (n, rank).
    curve
        (epoch, mean held-out Pearson correlation of the panel's genes).
    best, stopped
        The epoch that is kept; why no more were tried: patience, epochs or budget.
    affordable
        At how many places the time allows to predict.
    views
        How many turns and flips of each spot were learned from.
    """

    def __init__(
        self,
        trunk: Trunk,
        sample: Sample,
        genes: Sequence[str],
        basis: Basis,
        settings: Settings,
    ) -> None:
        self._trunk, self._sample, self._settings = trunk, sample, settings
        self._basis = basis
        self._truth = sample.measured.expression(genes)
        self._folds = list(folds(sample.places.points_um))
        torch.manual_seed(settings.seed)
        self._tails: list[Tail] = []
        self._scores: list[Tensor] = []
        self._common: list[Tensor] = []
        back = np.linalg.pinv(basis.loadings)
        last = trunk.last()
        for keep, _ in self._folds:
            # A basis of its own: one that has seen the held-out spots flatters (EVIDENCE 3).
            own, scores = learn_basis(sample.measured.spots(keep), genes, basis.rank)
            tail = Tail(
                last,
                width=trunk.width,
                tokens=trunk.tokens,
                rank=own.rank,
                adapter_rank=settings.adapter_rank,
                align=settings.align,
            )
            self._tails.append(tail.to(trunk.device))
            self._scores.append(torch.from_numpy(scores.astype(np.float32)).to(trunk.device))
            turn = torch.from_numpy((own.loadings @ back).astype(np.float32))
            self._common.append(turn.to(trunk.device))
        self.held: Floats = np.zeros((len(sample.places), basis.rank))
        self.curve: list[tuple[int, float]] = []
        self.best, self.stopped = 0, "epochs"
        self.affordable, self.views = MOST_PLACES, 0
        self._kept: list[dict[str, Tensor]] = []
        self._means: list[Tensor] = []

    def train(self, progress: Progress, started: float) -> None:
        """All epochs; afterwards each network is as it was at the best one.

        Parameters
        ----------
        started
            When tuning began, by the monotonic clock.
        """
        settings, points = self._settings, self._sample.places.points_um
        budget = 60 * settings.minutes
        hidden = self._remember(part(progress, 0.0, 0.25), budget)
        deadline = started + (1 - LATTICE_SHARE) * budget
        optimisers = [
            torch.optim.AdamW(
                [p for p in tail.parameters() if p.requires_grad],
                lr=settings.rate,
                weight_decay=settings.decay,
            )
            for tail in self._tails
        ]
        top = -np.inf
        for epoch in range(1, settings.epochs + 1):
            begun = time.monotonic()
            for number, optimiser in enumerate(optimisers):
                done = (epoch - 1 + number / len(optimisers)) / settings.epochs
                progress(0.25 + 0.75 * done, self._said(epoch, number))
                self._epoch(number, epoch, hidden, optimiser)
            held, means = self._held_out(hidden)
            value = self._score(held)
            self.curve.append((epoch, value))
            if value > top:
                top, self.best, self.held, self._means = value, epoch, held, means
                self._kept = [
                    {n: t.clone() for n, t in trained_state(tail).items()} for tail in self._tails
                ]
            text = f"epoch {epoch} of {settings.epochs}: held-out r {value:.3f}"
            progress(0.25 + 0.75 * epoch / settings.epochs, CurvePoint(text, epoch, value))
            if epoch - self.best >= settings.patience:
                self.stopped = "patience"
                break
            took = time.monotonic() - begun
            if time.monotonic() + took > deadline:
                self.stopped = "budget"
                break
        for tail, state in zip(self._tails, self._kept, strict=True):
            load_trained(tail, state)
            tail.eval()
        begun = time.monotonic()
        self.predict(points[:TRIAL], part(progress, 1.0, 1.0))
        each = (time.monotonic() - begun) / min(TRIAL, len(points))
        left = LEFT * (started + budget - time.monotonic())
        self.affordable = int(np.clip(left / max(each, 1e-6), LEAST_PLACES, MOST_PLACES))

    def predict(self, points_um: Floats, progress: Progress) -> Floats:
        """Mean factors of all networks at places (x, y, z), (n, rank)."""
        out = np.zeros((len(points_um), self._basis.rank))
        done = 0
        for own, hidden in self._stream(points_um):
            with torch.inference_mode():
                said = [
                    tail(hidden) @ turn - mean
                    for tail, turn, mean in zip(self._tails, self._common, self._means, strict=True)
                ]
            out[own] = torch.stack(said).mean(dim=0).cpu().numpy()
            done += len(own)
            progress(done / len(points_um), f"tuned encoder: place {done:,} of {len(points_um):,}")
        return out

    def weights(self) -> dict[str, Tensor]:
        """What was trained, by block, and what turns each one's factors into the common ones."""
        found = {
            f"block {i}/{name}": tensor.cpu().contiguous()
            for i, tail in enumerate(self._tails)
            for name, tensor in trained_state(tail).items()
        }
        found |= {f"block {i}/mean": t.cpu().contiguous() for i, t in enumerate(self._means)}
        found |= {f"block {i}/common": t.cpu().contiguous() for i, t in enumerate(self._common)}
        return found

    # -- inner -----------------------------------------------------------------------------

    def _said(self, epoch: int, number: int) -> str:
        last = f", held-out r {self.curve[-1][1]:.3f}" if self.curve else ""
        return f"epoch {epoch}: block {number + 1} of {len(self._tails)}{last}"

    def _stream(self, points_um: Floats) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        """Hidden tokens of crops as they are, some at a time."""
        for numbers, crops in self._trunk.crops(points_um):
            for first in range(0, len(numbers), BATCH):
                own = slice(first, first + BATCH)
                yield numbers[own], self._trunk.hidden(crops[own])

    def _remember(self, progress: Progress, budget: float) -> Tensor:
        """Hidden tokens of the spots' views, (views, n, tokens, width), half precision.

        At least one view, and more of them as memory and time allow.
        """
        points = self._sample.places.points_um
        count = len(points)
        most = self._room(count)
        begun = time.monotonic()
        views: list[Tensor] = []
        while len(views) < most:
            share = part(progress, len(views) / most, (len(views) + 1) / most)
            views.append(self._view(len(views), share, budget if not views else None))
            took = time.monotonic() - begun
            if took * (1 + 1 / len(views)) > READ_SHARE * budget:
                break
        self.views = len(views)
        return torch.stack(views)

    def _room(self, count: int) -> int:
        """How many views of all spots memory holds."""
        trunk = self._trunk
        each = 2 * count * trunk.tokens * trunk.width
        views = int(np.clip(CACHE_BYTES // each, 0, VIEWS))
        if views == 0:
            most = CACHE_BYTES * count // each
            raise VortexError(
                f"{count:,} spots are too many for full fine-tuning with {trunk.name}; at most "
                f"{most:,}. Choose fewer sections, or --mode fast."
            )
        return views

    def _view(self, view: int, progress: Progress, budget: float | None) -> Tensor:
        """Hidden tokens of one view of each spot, (n, tokens, width), half precision."""
        trunk, points = self._trunk, self._sample.places.points_um
        count, done, warm, begun = len(points), 0, 0, 0.0
        kept = torch.zeros(
            count, trunk.tokens, trunk.width, dtype=torch.float16, device=trunk.device
        )
        for numbers, crops in trunk.crops(points):
            for first in range(0, len(numbers), BATCH):
                own = slice(first, first + BATCH)
                turned = trunk.view(crops[own], view)
                kept[torch.from_numpy(numbers[own])] = trunk.hidden(turned).half()
                done += len(numbers[own])
                if warm == 0:  # the first batch waits for libraries
                    warm, begun = done, time.monotonic()
                elif budget is not None and time.monotonic() - begun > JUDGED_S:
                    self._refuse_if_slow((time.monotonic() - begun) / (done - warm), budget)
                    budget = None
                progress(done / count, f"reading spot {done:,} of {count:,}, view {view + 1}")
        return kept

    def _refuse_if_slow(self, each: float, budget: float) -> None:
        """Say at once that the time will not do, where ``each`` view takes so many seconds."""
        count = len(self._sample.places)
        least = each * (PASSES * count + 2 * LEAST_PLACES)
        if least > budget:
            enough = np.ceil(1.2 * least / 60)
            raise VortexError(
                f"Full fine-tuning with {self._trunk.name} would take about "
                f"{least / 60:.0f} minutes here ({count:,} spots, {each:.2g} s each), more than "
                f"the {budget / 60:.3g} that it may. Allow it {enough:.0f} (--minutes "
                "in a terminal), or use a GPU, fewer sections, a smaller encoder or mode fast."
            )

    def _epoch(
        self, number: int, epoch: int, hidden: Tensor, optimiser: torch.optim.Optimizer
    ) -> None:
        keep, _ = self._folds[number]
        tail, scores = self._tails[number], self._scores[number]
        variance = scores.var(dim=0, unbiased=False)
        random = np.random.default_rng([self._settings.seed, epoch, number])
        order = random.permutation(len(keep))
        view = random.integers(0, len(hidden), len(keep))
        tail.train()
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            if len(rows) < 2:
                continue
            batch = hidden[torch.from_numpy(view[rows]), torch.from_numpy(keep[rows])].float()
            loss = tail.loss(batch, scores[torch.from_numpy(rows)], variance)
            if not torch.isfinite(loss):
                raise VortexError(
                    f"The loss is {float(loss)} in epoch {epoch}. Lower the learning rate "
                    f"({self._settings.rate})."
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tail.parameters(), 1.0)
            optimiser.step()
        tail.eval()

    def _held_out(self, hidden: Tensor) -> tuple[Floats, list[Tensor]]:
        """Factors of each spot by the network that did not see it; each network's mean.

        The mean is taken off: a network's own level differs from block to block by chance, and
        five chances would pass for a signal between blocks.
        """
        out, means = np.zeros_like(self.held), []
        count = hidden.shape[1]
        some = torch.arange(0, count, max(1, count // MEAN_SPOTS))
        for (_, held), tail, turn in zip(self._folds, self._tails, self._common, strict=True):
            mean = _factors(tail, hidden[0], some, turn).mean(dim=0)
            said = _factors(tail, hidden[0], torch.from_numpy(held), turn) - mean
            out[held] = said.cpu().numpy()
            means.append(mean)
        return out, means

    def _score(self, held: Floats) -> float:
        """Mean Pearson correlation of the genes within sections, weighted by their spots."""
        section = self._sample.measured.section
        total = 0.0
        for name in np.unique(section):
            own = section == name
            said = held[own] @ self._basis.loadings
            total += own.sum() * float(pearson(said, self._truth[own]).mean())
        return total / len(section)


def _factors(tail: Tail, hidden: Tensor, rows: Tensor, turn: Tensor) -> Tensor:
    """What a network says of some spots, in the common basis, (n, rank)."""
    with torch.inference_mode():
        parts = [tail(hidden[own].float()) @ turn for own in torch.split(rows, BATCH)]
    return torch.cat(parts)
