"""A small convolutional network that learns, without labels, what a place looks like.

Two views of one place, turned, stretched and stained otherwise, one of them perhaps from the next
plane, are to be told from views of other places (InfoNCE). What stays the same between them is
what the tissue is; what does not is the section's stain, its pose and its noise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_model.networks.alignment import info_nce
from vortex_model.networks.weights import fast_bfloat16
from vortex_model.progress import Progress, silent

Arrays = Mapping[str, npt.NDArray[np.float32]]
STRIDE = 16
"""Pixels from one place of the map to the next."""
REACH = 64
"""Pixels around a place that its features depend on, at most."""
VIEW = 72
"""Pixels along a view."""
MARGIN = 1.9
"""A view is cut from a field so many times its width, so that it can be turned and stretched."""
WIDTH = 48
PROJECTION = 1024
TEMPERATURE = 0.2
NEXT = 0.7
"""How often the second view of a place is from the next plane."""
WARM_UP = 30


class Network(nn.Module):
    """A residual network (He et al., CVPR 2016) of stride 16; any number of channels in.

    Parameters
    ----------
    channels
        Of the image.
    width
        Of the first stage; features are ``8 * width`` wide.
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_normed(nn.Conv2d(channels, width // 2, 5, 2, 2, bias=False)),
            nn.ReLU(),
            *_normed(nn.Conv2d(width // 2, width, 3, 2, 1, bias=False)),
            nn.ReLU(),
        )
        self.body = nn.Sequential(
            _Block(width, width, 1),
            _Block(width, 2 * width, 2),
            _Block(2 * width, 4 * width, 2),
            *_normed(nn.Conv2d(4 * width, 8 * width, 1, bias=False)),
            nn.ReLU(),
        )
        self.width = 8 * width

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, width, y / 16, x / 16) of images (n, channels, y, x)."""
        found: Tensor = self.body(self.stem(image))
        return found


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            *_normed(nn.Conv2d(inside, outside, 3, stride, 1, bias=False)),
            nn.ReLU(),
            *_normed(nn.Conv2d(outside, outside, 3, 1, 1, bias=False)),
        )
        self.short: nn.Module = nn.Identity()
        if stride > 1:
            pool = nn.AvgPool2d(stride, ceil_mode=True)
            self.short = nn.Sequential(pool, *_normed(nn.Conv2d(inside, outside, 1, bias=False)))

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = functional.relu(self.deep(image) + self.short(image))
        return found


def _normed(layer: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    return layer, nn.BatchNorm2d(layer.out_channels)


@dataclass(frozen=True)
class Lesson:
    """What the network learns from.

    Attributes
    ----------
    fields
        (places, 2, channels, y, x) uint8 of 0 to 3: square fields of tissue, each from its plane
        and from a neighbouring plane (the same one again where there is none).
    jitter
        How far the two views of a place may lie apart, in pixels (one standard deviation).
    pairs
        How many pairs of views are looked at in all.
    batch
        Pairs told apart at a time.
    rate
        Highest learning rate.
    seed
        Of everything that is drawn.
    groups
        (places,), the block that each place is of, where there are several: a batch is of one
        block, or places would be told apart by their microscope.
    """

    fields: npt.NDArray[np.uint8]
    jitter: float
    pairs: int
    batch: int = 256
    rate: float = 2e-3
    seed: int = 0
    groups: npt.NDArray[np.int64] | None = None


QUANTUM = 85.0
"""Steps of a field's uint8 to one."""


def learn(lesson: Lesson, progress: Progress = silent) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of a network that was taught this lesson, and what its input is standardised by.

    The same lesson gives the same weights on the same machine with as many threads. bfloat16
    where the processor multiplies in it; float32 elsewhere.

    Raises
    ------
    Cancelled
        From ``progress``; nothing is kept.
    """
    random = np.random.default_rng(lesson.seed)
    channels = lesson.fields.shape[2]
    sample = lesson.fields[:: max(1, len(lesson.fields) // 64), 0].astype(np.float32) / QUANTUM
    mean, deviation = sample.mean(axis=(0, 2, 3)), np.maximum(sample.std(axis=(0, 2, 3)), 1e-3)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[0] if device.type == "cuda" else []):
        torch.manual_seed(lesson.seed)
        network = Network(channels).to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        head = _head(network.width).to(device)
        steps = max(1, lesson.pairs // lesson.batch)
        parameters = [*network.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=lesson.rate, weight_decay=1e-3)
        begin = time.monotonic()
        for step in range(steps):
            rate = lesson.rate * min(1.0, (step + 1) / WARM_UP)
            for group in optimiser.param_groups:
                group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            views = _pair(lesson, random, mean, deviation).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast_bfloat16()):
                seen = head(network(views.to(memory_format=torch.channels_last)).mean((2, 3)))
            left, right = functional.normalize(seen.float(), dim=1).chunk(2)
            loss = info_nce(left, right, torch.tensor(1 / TEMPERATURE, device=device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rest = (time.monotonic() - begin) / (step + 1) * (steps - step - 1)
            progress(
                (step + 1) / steps,
                f"learning from the block itself, about {math.ceil(rest / 60)} min left",
            )
    weights = {
        name: value.detach().float().cpu().numpy() for name, value in network.state_dict().items()
    }
    return {**weights, "input.mean": mean, "input.deviation": deviation}


class Seer:
    """A taught network at work.

    Parameters
    ----------
    weights
        From :func:`learn`.
    """

    def __init__(self, weights: Arrays) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        state = {n: torch.from_numpy(np.asarray(v)) for n, v in weights.items() if "." in n}
        self._mean, self._deviation = (
            np.asarray(weights[f"input.{n}"])[:, None, None] for n in ("mean", "deviation")
        )
        for name in ("input.mean", "input.deviation"):
            del state[name]
        self._network = Network(len(self._mean))
        self._network.load_state_dict(state)
        self._network.eval().to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device

    def __call__(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (width, y / 16, x / 16) of an image (channels, y, x) whose sides 16 divides.

        The mean over its four quarter turns, so that a turned section has the same features.
        """
        scaled = torch.from_numpy((image - self._mean) / self._deviation)[None].to(self._device)
        total: Tensor | None = None
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=fast_bfloat16()),
        ):
            for turn in range(4):
                turned = torch.rot90(scaled, turn, (2, 3))
                found = self._network(turned.contiguous(memory_format=torch.channels_last))
                back = torch.rot90(found.float(), -turn, (2, 3))
                total = back if total is None else total + back
        assert total is not None
        return np.asarray((total[0] / 4).cpu().numpy(), dtype=np.float32)


# -- views ----------------------------------------------------------------------------------


def field_pixels() -> int:
    """Pixels along a field of a lesson: room for a view wherever jitter takes it."""
    return round(VIEW * MARGIN) + VIEW


def _pair(
    lesson: Lesson,
    random: np.random.Generator,
    mean: npt.NDArray[np.float32],
    deviation: npt.NDArray[np.float32],
) -> Tensor:
    """Two views of each place of a batch, (2 * batch, channels, VIEW, VIEW)."""
    count, side = lesson.batch, lesson.fields.shape[-1]
    size = min(round(VIEW * MARGIN), side)
    room = side - size
    place = random.integers(len(lesson.fields), size=count)
    if lesson.groups is not None:
        own = np.flatnonzero(lesson.groups == random.choice(np.unique(lesson.groups)))
        place = own[random.integers(len(own), size=count)]
    corner = random.uniform(0, room, (count, 2))
    views = []
    for view in range(2):
        # The first is from the place's own plane; the second mostly from the next one.
        plane = (view * random.uniform(size=count) > 1 - NEXT).astype(np.int64)
        near = corner + view * random.normal(0, lesson.jitter, (count, 2))
        low = np.clip(np.rint(near), 0, room).astype(np.int64)
        cut = np.stack(
            [
                lesson.fields[p, k, :, y : y + size, x : x + size]
                for p, k, (y, x) in zip(place, plane, low, strict=True)
            ]
        )
        scaled = (cut / np.float32(QUANTUM) - mean[:, None, None]) / deviation[:, None, None]
        views.append(_varied(torch.from_numpy(scaled.astype(np.float32)), random))
    return torch.cat(views)


def _varied(fields: Tensor, random: np.random.Generator) -> Tensor:
    """A view of each field (n, channels, y, x): turned, mirrored, stretched, stained otherwise."""
    count, channels, side, _ = fields.shape

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(random.standard_normal(shape).astype(np.float32))

    angle = torch.from_numpy(random.uniform(0, 2 * math.pi, count).astype(np.float32))
    zoom = torch.from_numpy(np.exp(random.uniform(-1, 1, count) * math.log(1.2)).astype(np.float32))
    mirror = torch.from_numpy(random.choice([-1.0, 1.0], count).astype(np.float32))
    scale = zoom * VIEW / side
    cosine, sine, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros(count)
    rows = [
        torch.stack([cosine * mirror, -sine, zero], 1),
        torch.stack([sine * mirror, cosine, zero], 1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, 1), [count, channels, VIEW, VIEW], align_corners=False
    )
    view = functional.grid_sample(fields, grid, padding_mode="reflection", align_corners=False)
    gain = torch.exp(0.1 * draw(count, channels, 1, 1) + 0.15 * draw(count, 1, 1, 1))
    view = view * gain + 0.15 * draw(count, channels, 1, 1)
    soft = torch.from_numpy(random.uniform(size=count) < 0.3)
    if bool(soft.any()):
        wide = functional.pad(view[soft], (1, 1, 1, 1), mode="reflect")
        view[soft] = functional.avg_pool2d(wide, 3, 1)
    grain = torch.from_numpy(random.uniform(0, 0.15, (count, 1, 1, 1)).astype(np.float32))
    return view + grain * draw(*view.shape)


def _head(width: int) -> nn.Module:
    """What is told apart is a projection; the features before it keep more (SimCLR, ICML 2020)."""
    layers: Sequence[nn.Module] = (
        nn.Linear(width, PROJECTION, bias=False),
        nn.BatchNorm1d(PROJECTION),
        nn.ReLU(),
        nn.Linear(PROJECTION, PROJECTION, bias=False),
        nn.BatchNorm1d(PROJECTION),
        nn.ReLU(),
        nn.Linear(PROJECTION, PROJECTION, bias=False),
    )
    return nn.Sequential(*layers)
