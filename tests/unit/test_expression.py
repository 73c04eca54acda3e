"""Counts become comparable numbers, and panels are chosen as they say."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import fit_basis, normalise, select_genes, stack

counts_ = arrays(
    np.int64, st.tuples(st.integers(1, 8), st.integers(1, 9)), elements=st.integers(0, 50)
)


def section(counts, genes, z=0.0):
    made = anndata.AnnData(sp.csr_matrix(np.asarray(counts, dtype=np.float32)))
    made.var_names = genes
    made.obs_names = [str(i) for i in range(made.n_obs)]
    made.obsm["spatial"] = np.column_stack([np.zeros((made.n_obs, 2)), np.full(made.n_obs, z)])
    made.uns["vortex"] = {"spot_diameter_um": 55.0}
    return made


@given(counts_)
def test_each_spot_sums_to_ten_thousand_or_stays_empty(counts):
    sums = np.expm1(normalise(sp.csr_matrix(counts)).toarray()).sum(axis=1)
    assert np.allclose(sums, np.where(counts.sum(axis=1) > 0, 1e4, 0.0))


@given(counts_, st.integers(2, 9))
def test_sequencing_depth_does_not_matter(counts, times):
    once, more = (normalise(sp.csr_matrix(counts * k)).toarray() for k in (1, times))
    assert np.allclose(once, more)


def test_stacking_keeps_shared_genes_and_whole_totals():
    one = section([[1, 2, 3]], ["A", "B", "C"])
    two = section([[4, 5, 6]], ["C", "D", "A"], z=9.0)
    both = stack({"one": one, "two": two})
    assert both.genes == ("A", "C")
    assert both.counts.toarray().tolist() == [[1, 3], [6, 4]]
    assert both.totals.tolist() == [6, 15]
    assert np.allclose(np.expm1(both.expression(["C"]))[:, 0], [3 / 6 * 1e4, 4 / 15 * 1e4])
    later = both.only(["two"])
    assert later.names == ("two",) and later.section.tolist() == [0]
    assert later.points_um[0, 2] == 9.0


def test_sections_that_share_no_gene_are_refused():
    with pytest.raises(VortexError, match="share no gene"):
        stack({"a": section([[1]], ["ERBB2"]), "b": section([[1]], ["ENSG00000141736"])})


def test_panels():
    rng = np.random.default_rng(0)
    counts = rng.poisson(5, (60, 6))
    counts[:, 1] = 100  # the most expressed
    counts[:, 2] = np.where(np.arange(60) < 30, 0, 60)  # the most variable
    counts[:, 5] = 0
    counts[0, 5] = 9  # found in one spot alone
    measured = stack({"s": section(counts, [f"g{i}" for i in range(6)])})
    assert select_genes(measured, "top:1") == ["g1"]
    assert select_genes(measured, "hvg:1") == ["g2"]
    assert set(select_genes(measured, "all")) == {"g0", "g1", "g2", "g3", "g4"}
    assert select_genes(measured, "G3, g1,g3") == ["g3", "g1"]
    with pytest.raises(UnknownNameError, match="gg1"):
        select_genes(measured, "gg1")
    with pytest.raises(VortexError, match="whole number"):
        select_genes(measured, "hvg:many")


def test_variability_ignores_a_shift_between_sections():
    rng = np.random.default_rng(0)
    one, two = rng.poisson(50, (40, 3)), rng.poisson(50, (40, 3))
    two[:, 0] *= 8  # another section, another level
    one[:, 1] *= rng.integers(1, 4, 40)  # truly variable
    two[:, 1] *= rng.integers(1, 4, 40)
    measured = stack({"a": section(one, list("xyz")), "b": section(two, list("xyz"))})
    assert select_genes(measured, "hvg:1") == ["y"]


@given(st.integers(1, 6))
def test_a_full_basis_gives_the_expression_back_but_for_section_levels(rank):
    rng = np.random.default_rng(rank)
    low = rng.normal(size=(30, rank)) @ rng.normal(size=(rank, 10))
    section_ = np.repeat([0, 1], 15)
    basis, scores = fit_basis(
        low + section_[:, None] * 3.0, section_, [str(i) for i in range(10)], 10
    )
    assert basis.rank <= rank + 1
    decoded = basis.decode(scores)
    for number in (0, 1):
        own = section_ == number
        want = low[own] - low[own].mean(axis=0)
        assert np.allclose(decoded[own] - basis.mean, want, atol=1e-6)
