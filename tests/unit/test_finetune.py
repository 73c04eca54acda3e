"""Fine-tuning: a prediction lands in the study, is found again, and says what it is worth."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from made_study import GRID, make_study

from vortex_model.errors import Cancelled, UnknownNameError, VortexError
from vortex_model.expression import Measured, fit_basis
from vortex_model.grid import Grid
from vortex_model.metrics import pearson
from vortex_model.prediction import Prediction, is_checked
from vortex_model.predictors import Places, Training, create
from vortex_model.progress import FirstPicture
from vortex_model.study import Study
from vortex_model.training import lattice
from vortex_model.training.finetune import finetune
from vortex_model.training.model import fit_model, learn_basis, noise_rank
from vortex_model.training.reliability import reliability
from vortex_model.training.samples import gather, study_features


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(make_study(tmp_path_factory.mktemp("made") / "made.zarr"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Study:
    place = tmp_path_factory.mktemp("bare") / "bare.zarr"
    return Study.open(make_study(place, morphology=False))


@pytest.fixture(scope="module")
def made(study: Study) -> Prediction:
    return Prediction.load(study, finetune(study, sections=["S1"], panel="all"))


def held_out_section(study: Study, prediction: Prediction, name: str) -> dict[str, float]:
    sample = gather(study, [name], None)
    found = prediction.profile(sample.measured.points_um)
    truth = sample.measured.expression(list(found.columns))
    known = np.isfinite(found.iloc[:, 0].to_numpy())
    return {
        gene: float(np.corrcoef(found[gene][known], truth[known, i])[0, 1])
        for i, gene in enumerate(found.columns)
    }


def test_one_section_predicts_the_genes_of_another(study, made):
    score = held_out_section(study, made, "S3")
    assert np.mean([v for g, v in score.items() if g.startswith("BRIGHT")]) > 0.5
    assert np.mean([v for g, v in score.items() if g.startswith("SLOPE")]) > 0.6


def test_a_gene_is_a_volume_on_the_lattice_with_its_uncertainty(made):
    volume = made.gene("bright3")
    assert volume.dims == ("z", "y", "x")
    assert np.isfinite(volume.to_numpy()[made.mask]).all()
    assert np.isnan(volume.to_numpy()[~made.mask]).all()
    spread = made.uncertainty("BRIGHT3").to_numpy()[made.mask]
    assert (spread > 0).all()


def test_reliability_tells_how_well_another_section_will_be_predicted(study):
    features = study_features(study, "texture")
    sample = gather(study, ["S1", "S2"], features)
    genes = list(sample.measured.genes)
    rows = reliability(sample, genes, lambda: create("gp"), 4)
    assert (rows["low"] <= rows["reliability"]).all()
    assert (rows["reliability"] <= rows["high"]).all()
    model = fit_model(sample, genes, lambda: create("gp"), 4)
    other = gather(study, ["S3"], features)
    truth = pearson(model.expression(other.places), other.measured.expression(genes))
    assert np.corrcoef(truth, rows["reliability"])[0, 1] > 0.6
    assert abs(rows["reliability"].mean() - truth.mean()) < 0.1


def test_shuffled_spots_have_no_reliability(study):
    sample = gather(study, ["S1"], study_features(study, "texture"))
    order = np.random.default_rng(0).permutation(len(sample.places))
    mixed = type(sample)(sample.measured, sample.places[order])
    wrong = type(sample)(sample.measured.spots(order), sample.places)
    for broken in (mixed, wrong):
        rows = reliability(broken, list(sample.measured.genes), lambda: create("gp"), 4)
        assert rows["reliability"].mean() < 0.12


def test_the_same_inputs_are_not_computed_again_and_others_are(study, made, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("vortex_model.training.finetune.fit_model", refuse)
    assert finetune(study, sections=["S1"], panel="all") == made.id
    for other in ({"sections": ["S2"]}, {"panel": "hvg:5"}, {"predictor": "knn"}, {"rank": 3}):
        with pytest.raises(AssertionError, match="fitted again"):
            finetune(study, **{"sections": ["S1"], "panel": "all", **other})


def test_provenance_names_features_and_sections(study, made):
    record = made.provenance
    assert record["inputs"]["features"] in study.derived_ids("features")
    assert record["inputs"]["section S1"] == study.section("S1").uns["vortex"]["content"]
    assert record["parameters"]["predictor"] == "gp"


def test_cancel_stops_and_leaves_nothing_half_made(study):
    before = study.derived_ids("predictions")
    seen: list[float] = []

    def stop(fraction: float, message: str) -> None:
        seen.append(fraction)
        if fraction > 0.1:
            raise Cancelled

    with pytest.raises(Cancelled):
        finetune(study, sections=["S2"], panel="hvg:7", progress=stop)
    assert study.derived_ids("predictions") == before
    assert seen == sorted(seen)


def test_the_picture_comes_first_and_stays_where_the_rest_is_stopped(study):
    pictures: list[str] = []

    def stop(fraction: float, message: str) -> None:
        if pictures:
            raise Cancelled
        if isinstance(message, FirstPicture):
            pictures.append(message.made)

    choices = {"sections": ["S2"], "panel": "hvg:8"}
    with pytest.raises(Cancelled):
        finetune(study, **choices, progress=stop)
    (name,) = pictures
    assert study.current_prediction == name
    early = Prediction.load(study, name)
    assert not (early.checked or early.has_intervals or is_checked(study, name))
    assert early.genes["reliability"].isna().all()
    assert early.warnings[0].startswith("Not checked")

    study.make_current(next(n for n in study.derived_ids("predictions") if n != name))
    assert finetune(study, **choices) == name == study.current_prediction
    whole = Prediction.load(study, name)
    assert whole.checked and whole.has_intervals
    assert whole.genes["reliability"].notna().all()
    assert not any("Not checked" in warning for warning in whole.warnings)
    assert whole.provenance == early.provenance
    gene = whole.genes.index[0]
    assert np.array_equal(whole.gene(gene), early.gene(gene), equal_nan=True)
    rough, fine = (p.uncertainty(gene).to_numpy()[p.mask] for p in (early, whole))
    assert 0.9 < np.median(rough / fine) < 1.1
    pictures.clear()
    told: list[str] = []
    assert finetune(study, **choices, progress=lambda _, message: told.append(message)) == name
    assert not any(isinstance(message, FirstPicture) for message in told)


def test_mistakes_are_told_before_anything_is_computed(study, bare):
    with pytest.raises(UnknownNameError, match="S9"):
        finetune(study, sections=["S9"])
    with pytest.raises(VortexError, match="at least one section"):
        finetune(study, sections=[])
    with pytest.raises(UnknownNameError, match="predictor"):
        finetune(study, predictor="magic")
    with pytest.raises(VortexError, match="needs morphology"):
        finetune(bare, predictor="ridge")
    with pytest.raises(VortexError, match="rank of 0"):
        finetune(study, rank=0, panel="hvg:6")


@pytest.mark.parametrize("predictor", ["gp", "knn", "nearest", "mean"])
def test_a_block_without_morphology_is_predicted_from_places(bare, predictor):
    found = Prediction.load(bare, finetune(bare, panel="all", predictor=predictor))
    assert found.mask.any()
    points = bare.section("S2").obsm["spatial"]
    assert np.isfinite(found.profile(points).to_numpy()).mean() > 0.99
    if predictor == "gp":
        score = held_out_section(bare, found, "S2")
        assert score["SLOPE2"] > 0.6


def test_all_genes_decode_as_well_as_the_few_that_made_the_basis(study, monkeypatch):
    sample = gather(study, ["S1"], None).measured
    genes = list(sample.genes)
    whole, scores = learn_basis(sample, genes, 4)
    monkeypatch.setattr("vortex_model.training.model.BASIS_GENES", 20)
    part, few = learn_basis(sample, genes, 4)
    assert part.genes == whole.genes
    truth = sample.expression(genes)
    error = [np.mean((b.decode(s) - truth) ** 2) for b, s in ((whole, scores), (part, few))]
    assert error[1] < 1.2 * error[0]
    plain, _ = fit_basis(truth, sample.section, genes, 4)
    np.testing.assert_allclose(part.mean, plain.mean, atol=1e-9)


def made_up(counts_per_spot, seed=0):
    """120 spots, 300 genes of two programs; what they truly express, and counts of it."""
    random = np.random.default_rng(seed)
    level = np.exp(random.normal(size=(120, 2)) @ random.normal(size=(2, 300)) * 0.5)
    share = level / level.sum(axis=1, keepdims=True)
    counts = random.poisson(share * np.asarray(counts_per_spot)[:, None])
    genes = tuple(f"G{i}" for i in range(300))
    measured = Measured(
        genes=genes,
        counts=sp.csr_matrix(counts.astype(np.float64)),
        points_um=random.uniform(0, 1000, (120, 3)),
        section=np.zeros(120, np.int64),
        names=("S1",),
        diameter_um=np.full(120, 100.0),
        totals=counts.sum(axis=1).astype(np.float64),
    )
    return measured, np.log1p(1e4 * share)


def fidelity(basis, scores, truth, measured):
    columns = [measured.genes.index(g) for g in basis.genes]
    told = basis.decode(scores)
    return np.mean([np.corrcoef(told[:, i], truth[:, c])[0, 1] for i, c in enumerate(columns)])


def test_a_small_panel_is_told_by_the_other_genes_too(monkeypatch):
    measured, truth = made_up(np.full(120, 900))
    panel = list(measured.genes[:6])
    basis, scores = learn_basis(measured, panel)
    assert basis.genes == tuple(panel)
    with_others = fidelity(basis, scores, truth, measured)
    monkeypatch.setattr("vortex_model.training.model.BESIDE", 0)
    alone = fidelity(*learn_basis(measured, panel), truth, measured)
    assert with_others > alone + 0.1


def test_components_of_some_spots_serve_all(monkeypatch):
    measured, truth = made_up(np.full(120, 900))
    genes = list(measured.genes)
    whole = fidelity(*learn_basis(measured, genes, 2), truth, measured)
    monkeypatch.setattr("vortex_model.training.model.BASIS_SPOTS", 60)
    basis, scores = learn_basis(measured, genes, 2)
    assert scores.shape == (120, 2)
    assert np.allclose(scores.mean(axis=0), 0, atol=1e-9)
    assert fidelity(basis, scores, truth, measured) > whole - 0.03


def test_components_come_from_the_spots_with_many_counts(monkeypatch):
    deep = np.arange(120) % 3 == 0
    measured, truth = made_up(np.where(deep, 6000, 150))
    genes = list(measured.genes)

    def of_deep_spots():
        basis, scores = learn_basis(measured, genes, 2)
        return fidelity(basis, scores[deep], truth[deep], measured)

    weighted = of_deep_spots()
    monkeypatch.setattr("vortex_model.training.model.relative_noise", np.ones_like)
    assert weighted > of_deep_spots() + 0.02


def test_the_rank_follows_what_stands_out_of_noise():
    random = np.random.default_rng(0)
    section = np.repeat([0, 1], 75)
    noise = random.normal(size=(150, 200))
    signal = random.normal(size=(150, 9)) @ random.normal(size=(9, 200))
    assert noise_rank(noise, section) == 4
    assert noise_rank(noise + signal, section) == 9


def test_the_interpolated_variance_is_near_the_exact_one(study):
    sample = gather(study, ["S1", "S3"], study_features(study, "texture"))
    features = study_features(study, "texture")
    predictor = create("gp")
    _, scores = learn_basis(sample.measured, list(sample.measured.genes), 4)
    predictor.fit(Training(sample.places, sample.measured.section, scores, sample.measured.totals))
    made = lattice.predict_lattice(predictor, 4, features, sample.measured)
    exact, mask = made.variance(predictor), made.mask
    assert mask.sum() > 1000
    # a lattice of this size is worked out whole, token by token
    told = predictor.variance(made.places).T.astype(np.float32)
    assert np.allclose(exact[:, *made.some.T], told, rtol=1e-3)
    assert len(made.some) == mask.sum()
    rough = made.variance(predictor, 300)
    ratio = np.sqrt(rough[:, mask] / exact[:, mask])
    assert 0.9 < np.median(ratio) < 1.1
    assert np.quantile(ratio, 0.05) > 0.6
    assert np.quantile(ratio, 0.95) < 1.6


def test_a_lattice_around_spots_holds_them_and_stays_small(bare):
    sample = gather(bare, ["S1", "S2", "S3"], None).measured
    grid, mask = lattice.spot_lattice(sample)
    assert isinstance(grid, Grid)
    assert mask[tuple(grid.nearest(sample.points_um).T)].all()
    assert grid.shape[0] == 3
    assert mask.size <= 1.2 * lattice.MAX_TOKENS
    assert GRID.contains(grid.points()[mask.ravel()]).mean() > 0.9
    cloud = sample.spots(np.arange(121))
    random = np.random.default_rng(0)
    cloud = type(cloud)(**{**cloud.__dict__, "points_um": random.uniform(0, 500, (121, 3))})
    grid, mask = lattice.spot_lattice(cloud)
    assert grid.shape[0] > 3
    assert mask[tuple(grid.nearest(cloud.points_um).T)].all()


def test_a_section_named_twice_is_refused(study, tmp_path: Path):
    with pytest.raises(VortexError, match="named twice"):
        gather(study, ["S1", "S1"], None)
    assert len(Places(np.zeros((2, 3)), np.zeros((2, 0)), ())) == 2
