"""Other measured blocks beside the one at hand: what they teach, and what they must not spoil."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr

from vortex_model.errors import VortexError
from vortex_model.features import Features, compute_features
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction import Prediction
from vortex_model.predictors import Places, Training, create
from vortex_model.predictors.kernels import RBF_LADDER, Kernels
from vortex_model.study import Study
from vortex_model.training.elsewhere import with_others
from vortex_model.training.finetune import finetune
from vortex_model.training.samples import gather

GROUPS = ("a", "a", "b", "words: 1")


def block(number: int, n: int, slope: np.ndarray, seed: int) -> Training:
    """Spots whose score follows features by ``slope``; the last channel is the block's own."""
    random = np.random.default_rng(seed)
    points = random.uniform(0, 3000, (n, 3)) + (1e6 * number, 0, 0)
    features = random.normal(size=(n, 4))
    score = features @ slope + 1.5 * random.normal(size=n)
    if number:
        features[:, 3] = 0.0
    places = Places(points, features, GROUPS, np.full(n, number))
    return Training(places, np.full(n, number), (score - score.mean())[:, None], np.full(n, 1e3))


def both(one: Training, other: Training) -> Training:
    places = Places(
        np.vstack([one.places.points_um, other.places.points_um]),
        np.vstack([one.places.features, other.places.features]),
        GROUPS,
        np.concatenate([one.places.blocks, other.places.blocks]),
    )
    return Training(
        places,
        np.concatenate([one.section, other.section]),
        np.vstack([one.scores, other.scores]),
        np.concatenate([one.totals, other.totals]),
    )


def agreement(training: Training, held: Training) -> float:
    predictor = create("gp")
    predictor.fit(training)
    plain = replace(held.places, block=None)  # a place without a number is of the block at hand
    return float(np.corrcoef(predictor.predict(plain)[:, 0], held.scores[:, 0])[0, 1])


def test_few_own_spots_gain_from_blocks_that_agree() -> None:
    slope = np.array([1.0, -0.7, 0.5, 0.0])
    own, held = block(0, 25, slope, 1), block(0, 300, slope, 2)
    assert agreement(both(own, block(1, 200, slope, 3)), held) > agreement(own, held) + 0.05


def test_blocks_that_contradict_do_little_harm() -> None:
    slope = np.array([1.0, -0.7, 0.5, 0.8])
    own, held = block(0, 90, slope, 1), block(0, 300, slope, 2)
    alone = agreement(own, held)
    assert agreement(both(own, block(1, 120, -slope, 3)), held) > alone - 0.03


def test_kernels_of_several_blocks() -> None:
    """Within a block as if alone, by its own channels too; across, by what all have."""
    slope = np.ones(4)
    one, other = block(0, 12, slope, 1), block(1, 9, slope, 2)
    training = both(one, other)
    kernels = Kernels.between(training.places, training.section, features=True, place=True)
    gram = kernels.gram()
    across = np.s_[:12, 12:]
    by_features = 1 + len(RBF_LADDER)
    for name, own in zip(kernels.names, gram, strict=True):
        shared = name in kernels.names[:by_features]
        assert ("within a block" in name or "place" in name) == (not shared)
        assert np.abs(own[across]).max() > 0 if shared else np.allclose(own[across], 0, atol=1e-6)
    assert np.abs(gram[0][across]).min() > 0
    alone = Kernels.between(one.places, one.section, features=True, place=True)
    assert np.allclose(gram[by_features][:12, :12], alone.gram()[0])
    for own, again in zip(gram, kernels.against(training.places), strict=True):
        assert np.allclose(own, again, atol=1e-3)
    assert np.allclose(np.diagonal(gram, axis1=1, axis2=2), kernels.diagonal(training.places))
    changed = training.places.features.copy()
    changed[0, 3] += 1.0  # its own channel has no say across blocks
    again = next(kernels.against(replace(training.places, features=changed)))
    assert np.allclose(again[0], gram[0][0], atol=1e-3)


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory):
    """Another phantom of the same family, two measured sections, nothing predicted."""
    place = tmp_path_factory.mktemp("neighbour") / "neighbour.zarr"
    spec = PhantomSpec(
        shape=(40, 160, 160), voxel_um=(6.0,) * 3, seed=8, sections=(0.3, 0.7), name="neighbour"
    )
    make_phantom(place, spec)
    return place


def truth(study: Study, prediction: Prediction, genes) -> float:
    """Mean correlation with what the phantom truly expresses, in tissue."""
    from vortex_model.phantom import true_expression

    found = []
    for gene in genes:
        told = prediction.gene(gene)
        real = true_expression(study, gene).interp_like(told).values
        known = np.isfinite(told.values) & np.isfinite(real)
        found.append(np.corrcoef(told.values[known], real[known])[0, 1])
    return float(np.mean(found))


def test_a_block_learned_from_beside_makes_genes_truer(phantom_copy, neighbour) -> None:
    study, other = Study.open(phantom_copy), Study.open(neighbour)
    alone = Prediction.load(study, finetune(study, sections=["S1"], panel="hvg:60"))
    name = finetune(study, sections=["S1"], panel="hvg:60", others=[other])
    beside = Prediction.load(study, name)
    assert name != alone.id
    assert any(key.startswith("other ") for key in beside.provenance["inputs"])
    assert beside.grid == alone.grid
    assert beside.has_intervals
    assert beside.genes["reliability"].notna().all()
    genes = list(beside.genes.index[:20])
    assert truth(study, beside, genes) > truth(study, alone, genes) + 0.02
    # the same again is the same prediction
    assert finetune(study, sections=["S1"], panel="hvg:60", others=[other]) == name


def test_what_cannot_be_learned_from_is_refused(phantom_copy, neighbour, tmp_path) -> None:
    study, other = Study.open(phantom_copy), Study.open(neighbour)
    with pytest.raises(VortexError, match="once"):
        finetune(study, others=[other, other])
    with pytest.raises(VortexError, match="fast"):
        finetune(study, others=[other], mode="full", encoder="uni")
    features = Features.load(study, compute_features(study, "texture"))
    sample = gather(study, ["S1"], features)
    own, also = with_others(study, sample, features, [other])
    assert set(own.measured.genes) == set(also.measured.genes)
    assert len(own.places) == len(sample.places)
    assert also.places.features.shape[1] == own.places.features.shape[1]
    assert set(also.places.blocks.tolist()) == {1}
    bare = without_sections(neighbour, tmp_path)
    with pytest.raises(VortexError, match="no measured section"):
        with_others(study, sample, features, [bare])


def without_sections(neighbour, tmp_path) -> Study:
    copy = shutil.copytree(neighbour, tmp_path / "bare.zarr")
    shutil.rmtree(copy / "sections")
    zarr.open_group(copy / "sections", mode="w", zarr_format=3)
    return Study.open(copy)
