"""A formula or a gene set becomes weights of genes; what cannot be read is told with its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model import Study
from vortex_model.analysis.signatures import gene_sets, is_formula, parse, quoted, read_gmt
from vortex_model.errors import UnknownNameError, VortexError

GENES = [
    *("KRT8", "KRT18", "VIM", "ERBB2", "GRB7", "HLA-DRA", "HLA", "MT-CO1", "7SK", "H2-Aa"),
    *("RP11-34P13.7", "TRA@", "Gm(1)", "IL-2/IL-4", "5'ETS", "MEAN", "DRA"),
]


@pytest.mark.parametrize(
    ("formula", "weights"),
    [
        ("mean(KRT8, KRT18) - VIM", {"KRT8": 0.5, "KRT18": 0.5, "VIM": -1}),
        ("2*ERBB2 + 0.5*GRB7", {"ERBB2": 2, "GRB7": 0.5}),
        ("-(krt8+Vim)/2", {"KRT8": -0.5, "VIM": -0.5}),
        ("mean(KRT8, mean(VIM, 3*ERBB2))", {"KRT8": 0.5, "VIM": 0.25, "ERBB2": 0.75}),
        ("sum(KRT8,KRT18)*(1+1)", {"KRT8": 2, "KRT18": 2}),
        ("1e-1*VIM-.5 * KRT8", {"VIM": 0.1, "KRT8": -0.5}),
        ("VIM \u2212 KRT8", {"VIM": 1, "KRT8": -1}),
        ("VIM + KRT8 - KRT8", {"VIM": 1}),
        ("HLA-DRA", {"HLA-DRA": 1}),
        ("HLA - DRA", {"HLA": 1, "DRA": -1}),
        ("'HLA'-DRA", {"HLA": 1, "DRA": -1}),
        ("KRT8-VIM", {"KRT8": 1, "VIM": -1}),
        ("MT-CO1-HLA-DRA", {"MT-CO1": 1, "HLA-DRA": -1}),
        ("7SK-2*h2-aa", {"7SK": 1, "H2-Aa": -2}),
        ("RP11-34P13.7+TRA@", {"RP11-34P13.7": 1, "TRA@": 1}),
        ('"Gm(1)" - `IL-2/IL-4`', {"Gm(1)": 1, "IL-2/IL-4": -1}),
        ('"5\'ETS"', {"5'ETS": 1}),
        ("mean - mean(MEAN, VIM)", {"MEAN": 0.5, "VIM": -0.5}),
    ],
)
def test_a_formula_is_weights(formula, weights):
    assert parse(formula, GENES).weights == pytest.approx(weights)


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("", "empty"),
        ("mean(KRT8, VIM", r"character 15: a '\)' is missing"),
        ("KRT8 VIM", "character 6: 'V' is not expected"),
        ("KRT8 +", "ends where a gene"),
        ("KRT8 * VIM", "multiplied"),
        ("1 / KRT8", "divide by a gene"),
        ("KRT8 / 0", "divides by 0"),
        ("KRT8 + 1", "leave the number out"),
        ("VIM - VIM", "adds up to no gene"),
        ("3", "adds up to no gene"),
        ("'VIM", "not closed"),
        ("()", r"'\)' is not expected"),
        ("1e999 * VIM", "too large"),
        ("(" * 60 + "VIM" + ")" * 60, "nested"),
        ("-" * 5000 + "VIM", "nested"),
        ("__import__('os')", "No gene is named '__import__'"),
        ("VIM + " * 5000 + "VIM", "GMT"),
    ],
)
def test_a_mistake_is_told_with_its_place(formula, told):
    with pytest.raises(VortexError, match=told):
        parse(formula, GENES)


@pytest.mark.parametrize(
    ("formula", "near"),
    [("KRT88 - VIM", "KRT8"), ("KRT88-VIM", "KRT8"), ("HLA-DRX1", "HLA"), ("7SKL", "7SK")],
)
def test_an_unknown_gene_gets_suggestions(formula, near):
    with pytest.raises(UnknownNameError, match=f"Did you mean .*{near}"):
        parse(formula, [g for g in GENES if g != "HLA"] if "DRX" in formula else GENES)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6), st.data())
def test_any_name_can_be_quoted(names, data):
    names = list({n.casefold(): n for n in names if not set("\"'`") <= set(n)}.values())
    for name in names:
        assert parse(quoted(name), names).weights == {name: 1.0}


@given(st.text(alphabet="KRT8VIM+-*/()., '1e", max_size=30))
def test_no_text_ends_in_anything_but_weights_or_a_told_mistake(text):
    try:
        weights = parse(text, GENES).weights
    except VortexError:
        return
    assert weights and set(weights) <= set(GENES)


def test_a_name_is_no_formula():
    assert not is_formula("hla-dra", GENES)
    assert is_formula("KRT8-VIM", GENES)
    assert not is_formula(" ", GENES)


def test_a_gmt_file_gives_means_and_tells_what_is_missing(tmp_path):
    place = tmp_path / "sets.gmt"
    place.write_text("EPI\thttp://x\tkrt8\tKRT18\tKRT8\tNOPE\r\n\nFAR\t\tABC\tDEF\n")
    epi, far = read_gmt(place, GENES)
    assert epi.weights == {"KRT8": 0.5, "KRT18": 0.5} and epi.missing == ("NOPE",)
    assert far.weights == {} and far.missing == ("ABC", "DEF")


@pytest.mark.parametrize("text", ["EPI\tonly a text\n", "EPI KRT8 VIM\n", "", "\tx\tVIM\n"])
def test_what_is_no_gmt_is_told(text):
    with pytest.raises(VortexError, match=r"gene set"):
        gene_sets(text, GENES)


def test_a_gmt_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(VortexError, match="cannot be read"):
        read_gmt(tmp_path / "no.gmt", GENES)
    (tmp_path / "b.gmt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VortexError, match="UTF-8"):
        read_gmt(tmp_path / "b.gmt", GENES)


def test_weights_are_what_a_prediction_takes(phantom):
    prediction = Study.open(phantom).prediction()
    first, second, third = prediction.genes.index[:3]
    formula = f"mean({quoted(first)}, {quoted(second)}) - 2*{quoted(third)}"
    score = prediction.expression(parse(formula, list(prediction.genes.index)).weights)
    a, b, c = (prediction.gene(g).values for g in (first, second, third))
    assert np.allclose(score.values, (a + b) / 2 - 2 * c, atol=1e-4, equal_nan=True)
