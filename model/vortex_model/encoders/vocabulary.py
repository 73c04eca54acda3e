"""Visual words of small patches: learned by k-means, alike for every turn of a patch.

After Coates, Lee & Ng, AISTATS 2011: whitened patches, k-means, triangle encoding. A word stands
for its eight turned and mirrored copies: a patch's distance is that to the nearest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model.encoders.base import Floats

PATCH = 12
"""Pixels along a patch."""
CHANNELS = 3
WORDS = 128
COMPONENTS = 32
"""Channels kept of the words."""
DIRECTIONS = 40
"""Principal directions of patches that are kept."""
ROUNDS = 12
BATCH = 2048

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Vocabulary:
    """What was learned at one scale.

    Attributes
    ----------
    mean, whiten
        A patch's pixels (n,) less ``mean`` times ``whiten`` (n, directions) are its place.
    turned
        Places of the words' eight copies, (8 * words, directions), copies of a word together.
    centre, project
        Words' responses (words,) less ``centre`` times ``project`` (words, components).
    """

    mean: Floats
    whiten: Floats
    turned: Floats
    centre: Floats
    project: Floats

    def responses(self, patches: Floats) -> Floats:
        """How near each word is, (n, words), of patches (n, pixels): max(0, mean - distance)."""
        place = (patches - self.mean) @ self.whiten
        square = (place * place).sum(axis=1)[:, None] + (self.turned * self.turned).sum(axis=1)
        square -= 2 * (place @ self.turned.T)
        distance = np.sqrt(np.maximum(square, 0, out=square), out=square)
        nearest = distance.reshape(len(place), -1, 8).min(axis=2)
        typical = distance.mean(axis=1, keepdims=True)
        return np.asarray(np.maximum(typical - nearest, 0), dtype=np.float32)


def learn(sites: Sequence[Floats]) -> Vocabulary:
    """Whitening, words and their components, from the RGB patches (n, pixels) of some sites."""
    sites = sites or [np.zeros((8, PATCH * PATCH * CHANNELS), np.float32)]
    turns = _turns()
    patches = np.concatenate(sites)
    mean, whiten, back = _whitening(patches.astype(np.float64), turns)
    centred = patches - mean.astype(np.float32)
    # The eight turns of every patch: (8, n, directions).
    places = np.stack([centred[:, t] @ whiten.astype(np.float32) for t in turns])
    words = _cluster(places)
    atoms = words @ back.T
    turned = np.stack([atoms[:, t] @ whiten for t in turns], axis=1).reshape(8 * len(words), -1)
    blank = Vocabulary(
        mean.astype(np.float32),
        whiten.astype(np.float32),
        turned.astype(np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 0), np.float32),
    )
    responses = np.stack([blank.responses(s).mean(axis=0, dtype=np.float64) for s in sites])
    centre, project = _components(responses)
    return Vocabulary(blank.mean, blank.whiten, blank.turned, centre, project)


def _turns() -> list[npt.NDArray[np.int64]]:
    """Which pixel of a patch comes where in each of its eight turned copies."""
    pixels = np.arange(PATCH * PATCH * CHANNELS).reshape(PATCH, PATCH, CHANNELS)
    quarters = [np.rot90(pixels, k) for k in range(4)]
    return [np.ascontiguousarray(p).ravel() for q in quarters for p in (q, q[:, ::-1])]


def _whitening(
    patches: Doubles, turns: Sequence[npt.NDArray[np.int64]]
) -> tuple[Doubles, Doubles, Doubles]:
    """Mean, whitening and its way back, all the same for each turned copy of the patches."""
    mean = patches.mean(axis=0)
    mean = np.mean([mean[t] for t in turns], axis=0)
    centred = patches - mean
    own = centred.T @ centred / len(patches)
    spread = np.mean([own[np.ix_(t, t)] for t in turns], axis=0)
    values, vectors = np.linalg.eigh(spread)
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = DIRECTIONS
    # Directions that turn into each other share a value: both or none.
    while keep > 1 and values[keep - 1] - values[keep] < 1e-6 * values[keep - 1]:
        keep -= 1
    values, vectors = np.maximum(values[:keep], 0), vectors[:, :keep]
    scale = np.sqrt(values + 0.01 * values.mean() + 1e-12)
    return mean, vectors / scale, vectors * scale


def _cluster(places: Floats) -> Doubles:
    """k-means of patches whose turn is free; ``places`` (8, n, directions) has all turns."""
    turns, count = places.shape[:2]
    random = np.random.default_rng(1)
    words = places[0][random.choice(count, WORDS, replace=count < WORDS)].astype(np.float64)
    for _ in range(ROUNDS):
        best = np.full(count, np.inf, dtype=np.float32)
        word, turn = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        table = words.astype(np.float32)
        length = (table * table).sum(axis=1)
        for t in range(turns):
            for first in range(0, count, 8 * BATCH):
                part = slice(first, first + 8 * BATCH)
                distance = length - 2 * (places[t, part] @ table.T)
                nearest = distance.argmin(axis=1)
                least = distance[np.arange(len(nearest)), nearest]
                better = least < best[part]
                best[part][better] = least[better]
                word[part][better] = nearest[better]
                turn[part][better] = t
        aligned = places[turn, np.arange(count)].astype(np.float64)
        order = np.argsort(word, kind="stable")
        found, start, size = np.unique(word[order], return_index=True, return_counts=True)
        words[found] = np.add.reduceat(aligned[order], start, axis=0) / size[:, None]
    return np.asarray(words, dtype=np.float64)


def _components(responses: Doubles) -> tuple[Floats, Floats]:
    """Centre of the words' responses (n, words) and their main components, mixed evenly.

    Predictors give every channel of a group the same weight; a fixed rotation makes the
    channels alike, so that distances stay those of the words.
    """
    centre, deviation = responses.mean(axis=0), responses.std(axis=0)
    # A small block's sites may all be the same field: their rounding is no component.
    deviation = np.maximum(deviation, 0.02 * centre.mean() + 1e-3)
    scaled = (responses - centre) / deviation
    _, vectors = np.linalg.eigh(scaled.T @ scaled)
    vectors = vectors[:, ::-1][:, :COMPONENTS]
    mix = np.linalg.qr(np.random.default_rng(2).normal(size=(COMPONENTS, COMPONENTS)))[0]
    return centre.astype(np.float32), (vectors @ mix / deviation[:, None]).astype(np.float32)
