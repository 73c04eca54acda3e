"""Xenium folders and tables of transcripts: cells, bins, quality; and what is wrong with them."""

from collections import Counter

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_model import io
from vortex_model.io import transcripts
from vortex_model.study import Study

GENES = ["EPCAM", "ACTA2", "PTPRC"]
IDS = ["ENSG00000119888", "ENSG00000107796", "ENSG00000081237"]
CONTROL = "NegControlProbe_00042"


def write(folder, section):
    record = {"version": 1, "name": "block", "sections": [section]}
    (folder / "m.yaml").write_text(yaml.safe_dump(record))
    return folder / "m.yaml"


def said(folder, section):
    return "\n".join(io.check(write(folder, section)))


def imported(folder, section):
    place = write(folder, section)
    assert io.check(place) == []
    io.import_study(place, folder / "s.zarr", overwrite=True)
    return Study.open(folder / "s.zarr").section(section["name"])


def molecules(count=400):
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "x_location": random.uniform(-20, 90, count),
            "y_location": random.uniform(0, 60, count),
            "feature_name": random.choice([*GENES, CONTROL], count),
            "qv": random.uniform(5, 40, count),
        }
    )


def xenium(folder, parquet=True, as_bytes=False):
    """A folder as Xenium writes it: cells, transcripts, a matrix with a control probe."""
    random = np.random.default_rng(0)
    cells = [f"aaaa{n}-1" for n in range(12)]
    counts = random.poisson(2.0, (4, 12))
    with h5py.File(folder / "cell_feature_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        matrix = sp.csc_matrix(counts)
        for key in ("data", "indices", "indptr"):
            group[key] = getattr(matrix, key)
        group["shape"] = [4, 12]
        group["barcodes"] = np.array(cells, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array([*IDS, CONTROL], dtype="S")
        features["name"] = np.array([*GENES, CONTROL], dtype="S")
        kinds = ["Gene Expression"] * 3 + ["Negative Control Probe"]
        features["feature_type"] = np.array(kinds, dtype="S")
    table = pd.DataFrame(
        {
            "cell_id": cells,
            "x_centroid": random.uniform(0, 100, 12),
            "y_centroid": random.uniform(0, 50, 12),
            "cell_area": np.full(12, 25 * np.pi),
        }
    ).sample(frac=1, random_state=2)
    reads = molecules()
    if as_bytes:
        table["cell_id"] = table["cell_id"].str.encode("ascii")
        reads["feature_name"] = reads["feature_name"].str.encode("ascii")
    if parquet:
        table.to_parquet(folder / "cells.parquet")
        reads.to_parquet(folder / "transcripts.parquet")
    else:
        table.to_csv(folder / "cells.csv.gz", index=False)
        reads.to_csv(folder / "transcripts.csv.gz", index=False)
    return counts, table


def expected(table, side, least):
    keep = table[(table.qv >= least) & (table.feature_name != CONTROL)]
    row, column = np.floor(keep.y_location / side), np.floor(keep.x_location / side)
    return Counter(zip(row.astype(int), column.astype(int), keep.feature_name, strict=True))


def counted(section):
    matrix = section.X.tocoo()
    bins = [tuple(int(n) for n in name.split("x")) for name in section.obs_names]
    return Counter(
        {
            (*bins[i], section.var_names[j]): int(v)
            for i, j, v in zip(matrix.row, matrix.col, matrix.data, strict=True)
        }
    )


@pytest.mark.parametrize("how", ["parquet", "bytes", "csv"])
def test_cells_of_xenium(tmp_path, how):
    counts, table = xenium(tmp_path, how != "csv", how == "bytes")
    section = imported(tmp_path, {"name": "X", "format": "xenium", "path": ".", "z_um": 5})
    assert list(section.var_names) == GENES
    assert list(section.var["gene_id"]) == IDS
    assert (section.X.toarray() == counts[:3].T).all()
    ids = [c.decode() if isinstance(c, bytes) else c for c in table.cell_id]
    own = table.set_index(pd.Index(ids)).loc[section.obs_names]
    assert np.allclose(section.obsm["spatial"][:, 0], own.x_centroid)
    assert np.allclose(section.obsm["spatial"][:, 1:], np.c_[own.y_centroid, np.full(12, 5.0)])
    assert section.uns["vortex"]["spot_diameter_um"] == pytest.approx(10.0)


@pytest.mark.parametrize("how", ["parquet", "bytes", "csv"])
def test_bins_of_xenium(tmp_path, how, monkeypatch):
    monkeypatch.setattr(transcripts, "ROWS", 64)
    monkeypatch.setattr(transcripts, "MERGE", 50)
    xenium(tmp_path, how != "csv", how == "bytes")
    section = imported(
        tmp_path, {"name": "X", "format": "xenium", "path": ".", "z_um": 5, "bin_um": 16}
    )
    assert counted(section) == expected(molecules(), 16, 20)
    row, column = (int(n) for n in section.obs_names[0].split("x"))
    assert np.allclose(section.obsm["spatial"][0], [(column + 0.5) * 16, (row + 0.5) * 16, 5])
    assert section.uns["vortex"]["spot_diameter_um"] == 16


def test_a_table_of_transcripts_in_pixels(tmp_path):
    table = molecules().rename(columns={"x_location": "px", "y_location": "py"})
    table.to_csv(tmp_path / "t.csv", index=False)
    section = imported(
        tmp_path,
        {
            "name": "T", "format": "transcripts", "path": "t.csv", "z_um": 0, "bin_um": 6,
            "um_per_pixel": 0.5, "min_quality": 10,
            "columns": {"x": "px", "y": "py", "gene": "feature_name", "quality": "qv"},
        },
    )  # fmt: skip
    assert CONTROL in section.var_names  # nothing says that it is no gene
    assert section.X.sum() == (table.qv >= 10).sum()
    row, column = (int(n) for n in section.obs_names[0].split("x"))
    assert np.allclose(section.obsm["spatial"][0, :2], [(column + 0.5) * 6, (row + 0.5) * 6])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-900, 900), st.integers(-900, 900), st.integers(0, 3)),
             min_size=1, max_size=60),
    st.floats(0.3, 70.0),
)  # fmt: skip
def test_every_transcript_is_counted_once_in_the_bin_it_lies_in(reads, side):
    x, y, gene = (np.array(v, dtype=np.int64) for v in zip(*reads, strict=True))
    row, column = (transcripts._bins(v.astype(float), side, None) for v in (y, x))
    half = len(x) // 2
    parts = [transcripts._key(row[p], column[p], gene[p]) for p in (slice(half), slice(half, None))]
    spots = transcripts._spots(transcripts._merged(parts), list("abcd"), side, side)
    assert spots.counts.sum() == len(reads)
    for (px, py), counts in zip(spots.places, spots.counts.toarray(), strict=True):
        inside = (np.floor(x / side) == np.floor(px / side)) & (
            np.floor(y / side) == np.floor(py / side)
        )
        assert counts.tolist() == [int((inside & (gene == g)).sum()) for g in range(4)]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bin_um": None}, "'bin_um' is missing"),
        ({"um_per_pixel": None}, "'um_per_pixel' is missing"),
        ({"min_quality": 20}, "columns.quality"),
        ({"columns": {"x": "px", "y": "py"}}, "no column 'gene'"),
        ({"columns": {"x": "px", "y": "py", "gene": "feature_nam"}}, "Did you mean"),
        ({"columns": {"cell": "px"}}, "columns.cell is not known"),
        ({"bin_um": 1e-6}, "Check 'bin_um'"),
    ],
)
def test_mistakes_about_transcripts_are_told(tmp_path, change, text):
    table = molecules(30).rename(columns={"x_location": "px", "y_location": "py"})
    table.to_csv(tmp_path / "t.csv", index=False)
    section = {
        "name": "T", "format": "transcripts", "path": "t.csv", "z_um": 0, "bin_um": 6,
        "um_per_pixel": 1, "columns": {"x": "px", "y": "py", "gene": "feature_name"},
    }  # fmt: skip
    section = {k: v for k, v in (section | change).items() if v is not None}
    assert text in said(tmp_path, section)


def test_mistakes_about_xenium_are_told(tmp_path):
    section = {"name": "X", "format": "xenium", "path": ".", "z_um": 5}
    assert "no cell_feature_matrix.h5" in said(tmp_path, section)
    xenium(tmp_path)
    assert "give 'bin_um' too" in said(tmp_path, section | {"min_quality": 20})
    assert "no transcript of a gene" in said(tmp_path, section | {"bin_um": 16, "min_quality": 99})
    (tmp_path / "cells.parquet").write_bytes(b"PAR1 and no more")
    assert "is damaged" in said(tmp_path, section)
    (tmp_path / "cells.parquet").unlink()
    assert "holds no cells.parquet, nor cells.csv.gz" in said(tmp_path, section)


def test_bins_are_for_what_has_transcripts(tmp_path):
    section = {"name": "X", "format": "h5ad", "path": "m.yaml", "z_um": 5, "bin_um": 8}
    assert "'bin_um' and 'min_quality' are for xenium and transcripts" in said(tmp_path, section)
