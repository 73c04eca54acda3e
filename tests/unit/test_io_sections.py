"""Measured sections of every format: counts, places, names; and what is wrong with them."""

import gzip
import json
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vortex_model import io
from vortex_model.errors import ManifestError
from vortex_model.io.spaceranger import lattice_scale
from vortex_model.study import Study

GENES = ["KRT8", "VIM", "ACTB", "GAPDH"]
GRID = [(x, y) for x in range(2, 6) for y in range(3, 7)]
COUNTS = np.random.default_rng(0).poisson(3.0, (len(GRID), len(GENES)))


def write(folder, section, volume=None):
    record = {"version": 1, "name": "block", "sections": [section]}
    if volume:
        np.save(folder / "v.npy", np.ones((4, 50, 60), np.uint8))
        record["volume"] = {"path": "v.npy", "spacing_um": [10, 10, 10]} | volume
    (folder / "m.yaml").write_text(yaml.safe_dump(record))
    return folder / "m.yaml"


def said(folder, section, volume=None):
    return "\n".join(io.check(write(folder, section, volume)))


def imported(folder, section, volume=None):
    place = write(folder, section, volume)
    assert io.check(place) == []
    io.import_study(place, folder / "s.zarr", overwrite=True)
    return Study.open(folder / "s.zarr").section(section["name"])


# -- legacy ST --------------------------------------------------------------------------------


def legacy(folder, counts=None, genes=GENES, names=None, places=None):
    counts = pd.DataFrame(COUNTS if counts is None else counts, columns=genes)
    counts.index = names or [f"{x}x{y}" for x, y in GRID]
    counts.to_csv(folder / "c.tsv.gz", sep="\t")
    places = GRID if places is None else places
    table = pd.DataFrame(places, columns=["x", "y"])
    table["pixel_x"], table["pixel_y"] = table.x * 100.5, table.y * 100.25
    table["selected"] = 1
    table.sample(frac=1, random_state=1).to_csv(folder / "p.tsv", sep="\t", index=False)
    return {
        "name": "A1",
        "format": "legacy-st",
        "counts": "c.tsv.gz",
        "spots": "p.tsv",
        "um_per_pixel": 0.5,
        "spot_diameter_um": 100,
        "z_um": 20,
    }


def test_legacy_spots_are_joined_by_name(tmp_path):
    section = imported(tmp_path, legacy(tmp_path))
    np.testing.assert_array_equal(section.X.toarray(), COUNTS)
    assert list(section.var_names) == GENES
    want = np.array([[x * 50.25, y * 50.125, 20.0] for x, y in GRID])
    np.testing.assert_allclose(section.obsm["spatial"], want)
    assert section.uns["vortex"]["spot_diameter_um"] == 100


def test_a_table_of_genes_by_spots_is_turned(tmp_path):
    manifest = legacy(tmp_path)
    frame = pd.read_csv(tmp_path / "c.tsv.gz", sep="\t", index_col=0)
    frame.T.to_csv(tmp_path / "c.tsv.gz", sep="\t")
    np.testing.assert_array_equal(imported(tmp_path, manifest).X.toarray(), COUNTS)


def changed(value):
    out = COUNTS.astype(float).copy()
    out[2, 1] = value
    return out


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"counts": changed(-3)}, "1 counts are negative: -3 for gene VIM in spot 2x5"),
        ({"counts": changed(0.5)}, "1 counts are not whole: 0.5 for gene VIM"),
        ({"counts": changed(np.nan)}, "no number"),
        ({"counts": COUNTS * 0}, "the section is empty: every count is 0"),
        ({"genes": ["KRT8", "VIM", "VIM", "ACTB"]}, "1 genes come twice, as VIM"),
        ({"places": GRID[:-2]}, "2 of 16 spots in"),
        ({"names": [f"spot{n}" for n in range(16)]}, "No spot name is shared"),
        ({"names": ["2x3"] * 2 + [f"{x}x{y}" for x, y in GRID[2:]]}, "1 spot names come twice"),
        ({"places": [*GRID, GRID[0]]}, "spot '2x3' comes twice"),
    ],
)
def test_each_mistake_in_counts_is_told(tmp_path, how, text):
    manifest = legacy(tmp_path, **how)
    assert text in said(tmp_path, manifest)
    with pytest.raises(ManifestError):
        io.import_study(tmp_path / "m.yaml", tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_a_word_in_the_counts_is_told(tmp_path):
    words = COUNTS.astype(object)
    words[3, 2] = "five"
    assert "'five' in spot 2x6, gene ACTB" in said(tmp_path, legacy(tmp_path, counts=words))


def test_genes_and_spots_can_be_mended_by_the_manifest(tmp_path):
    genes = ["KRT8", "VIM", "VIM", "ACTB"]
    manifest = legacy(tmp_path, genes=genes) | {"duplicate_genes": "sum"}
    section = imported(tmp_path, manifest)
    assert list(section.var_names) == ["KRT8", "VIM", "ACTB"]
    np.testing.assert_array_equal(section[:, "VIM"].X.toarray().ravel(), COUNTS[:, 1:3].sum(axis=1))
    manifest = legacy(tmp_path, places=GRID[:-2]) | {"unplaced": "drop"}
    section = imported(tmp_path, manifest)
    assert section.n_obs == 14
    assert "2 spots without a place" in json.loads(section.uns["vortex"]["record"])["warnings"][0]


def test_places_without_counts_are_a_warning(tmp_path):
    section = imported(tmp_path, legacy(tmp_path, places=[*GRID, (9, 9)]))
    assert "1 placed spots have no counts: 9x9" in section.uns["vortex"]["record"]


def test_files_that_are_cut_short_are_told(tmp_path):
    manifest = legacy(tmp_path)
    data = (tmp_path / "c.tsv.gz").read_bytes()
    (tmp_path / "c.tsv.gz").write_bytes(data[:-30])
    assert "cut short or damaged" in said(tmp_path, manifest)
    (tmp_path / "c.tsv.gz").write_bytes(b"")
    assert "is empty" in said(tmp_path, manifest) or "cut short" in said(tmp_path, manifest)


def test_what_is_missing_is_told_all_at_once(tmp_path):
    manifest = legacy(tmp_path)
    for key in ("um_per_pixel", "spot_diameter_um", "z_um"):
        del manifest[key]
    text = said(tmp_path, manifest)
    for key in ("um_per_pixel", "spot_diameter_um", "z_um"):
        assert f"'{key}' is missing" in text


def test_a_missing_column_is_told_with_those_there(tmp_path):
    manifest = legacy(tmp_path)
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t").rename(columns={"pixel_x": "px"})
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    assert "no column 'pixel_x'; it has" in said(tmp_path, manifest)
    imported(tmp_path, manifest | {"columns": {"pixel_x": "px"}})


def test_spots_off_the_volume_are_told_or_left_out(tmp_path):
    manifest = legacy(tmp_path)
    inside = {"spacing_um": [10, 10, 10]}
    assert imported(tmp_path, manifest, inside).n_obs == 16
    text = said(tmp_path, manifest | {"z_um": 200}, inside)
    assert "16 of 16 spots lie outside the volume" in text and "z 200.0 um" in text
    small = {"spacing_um": [10, 6, 10]}
    assert "4 of 16 spots" in said(tmp_path, manifest, small)
    assert imported(tmp_path, manifest | {"off_image": "drop"}, small).n_obs == 12


def test_poses_move_spots_into_the_volume(tmp_path):
    manifest = legacy(tmp_path)
    pose = {"affine": [[0, 1, 30], [1, 0, 5]]}
    section = imported(tmp_path, manifest | {"pose": pose}, {"path": "v.npy"})
    want = np.array([[y * 50.125 + 30, x * 50.25 + 5, 20.0] for x, y in GRID])
    np.testing.assert_allclose(section.obsm["spatial"], want)
    oblique = {"affine": [[1, 0, 0], [0, 1, 0], [0, 0.05, 2]]}
    section = imported(tmp_path, manifest | {"pose": oblique, "z_um": None}, {"path": "v.npy"})
    np.testing.assert_allclose(
        section.obsm["spatial"][:, 2], [y * 50.125 * 0.05 + 2 for _, y in GRID]
    )
    rows = ["moving_x_um,moving_y_um,fixed_x_um,fixed_y_um"]
    rows += [f"{x},{y},{x + 30},{y - 20}" for x, y in [(0, 0), (200, 0), (0, 300), (200, 300)]]
    (tmp_path / "l.csv").write_text("\n".join(rows))
    section = imported(tmp_path, manifest | {"pose": {"landmarks": "l.csv"}}, {"path": "v.npy"})
    np.testing.assert_allclose(section.obsm["spatial"][0], [130.5, 130.375, 20])
    (tmp_path / "l.csv").write_text("\n".join(rows[:3]))
    assert "2 pairs" in said(tmp_path, manifest | {"pose": {"landmarks": "l.csv"}})


# -- a plain table ----------------------------------------------------------------------------


def table(folder, matrix=COUNTS, genes=GENES):
    frame = pd.DataFrame(GRID, columns=["u", "v"])
    frame["slide"] = ["a"] * 8 + ["b"] * 8
    frame["id"] = [f"s{n}" for n in range(16)]
    frame.to_csv(folder / "p.csv", index=False)
    sp.save_npz(folder / "c.npz", sp.csr_matrix(matrix))
    (folder / "g.txt").write_text("\n".join(genes) + "\n")
    return {
        "name": "b",
        "format": "table",
        "counts": "c.npz",
        "genes": "g.txt",
        "spots": "p.csv",
        "columns": {"x": "u", "y": "v", "name": "id"},
        "select": {"slide": "b"},
        "um_per_pixel": 10,
        "spot_diameter_um": 5,
        "z_um": 0,
    }


def test_a_section_of_a_table_of_several(tmp_path):
    section = imported(tmp_path, table(tmp_path))
    np.testing.assert_array_equal(section.X.toarray(), COUNTS[8:])
    assert list(section.obs_names) == [f"s{n}" for n in range(8, 16)]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"select": {"slide": "c"}}, "no row of"),
        ({"select": {"slid": "b"}}, "Did you mean 'slide'?"),
        ({"columns": {"x": "U", "y": "v"}}, "has no column 'U'"),
        ({"columns": {"x": "u", "yy": "v"}}, "columns.yy is not known"),
        ({"genes": None}, "'genes' is missing"),
    ],
)
def test_mistakes_about_a_table_are_told(tmp_path, change, text):
    assert text in said(tmp_path, table(tmp_path) | change)


def test_tables_that_do_not_fit_are_told(tmp_path):
    assert "Transpose" in said(tmp_path, table(tmp_path, COUNTS.T)).replace(
        "transpose", "Transpose"
    )
    assert "names 3 genes" in said(tmp_path, table(tmp_path, genes=GENES[:3]))
    manifest = table(tmp_path)
    (tmp_path / "c.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:-100])
    assert "is damaged" in said(tmp_path, manifest)


# -- Space Ranger -----------------------------------------------------------------------------

ROWS, COLS = 6, 8
BARCODES = [f"AAAC{n:04d}-1" for n in range(ROWS * COLS)]
UM_PER_PIXEL = 0.7
IDS, SYMBOLS = ["ENSG1", "ENSG2", "ENSG3", "ABC"], ["KRT8", "TBCE", "TBCE", "CD3"]


def outs(folder, version=2, matrix="h5", angle=0.0):
    place = folder / "outs"
    (place / "spatial").mkdir(parents=True)
    row, col = np.divmod(np.arange(ROWS * COLS), COLS)
    col = 2 * col + row % 2
    um = np.column_stack([col * 50.0, row * 100 * np.sqrt(0.75)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pixel = (um @ turn.T) / UM_PER_PIXEL + 300
    positions = pd.DataFrame(
        {
            "barcode": BARCODES,
            "in_tissue": (np.arange(len(row)) % 3 > 0).astype(int),
            "array_row": row,
            "array_col": col,
            "pxl_row_in_fullres": pixel[:, 1],
            "pxl_col_in_fullres": pixel[:, 0],
        }
    )
    name = "tissue_positions.csv" if version == 2 else "tissue_positions_list.csv"
    positions.to_csv(place / "spatial" / name, index=False, header=version == 2)
    factors = {"spot_diameter_fullres": 65 / UM_PER_PIXEL, "tissue_hires_scalef": 0.1}
    (place / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    inside = positions[positions.in_tissue == 1]
    counts = np.random.default_rng(1).poisson(2.0, (len(inside), 4))
    kinds = ["Gene Expression"] * 3 + ["Antibody Capture"]
    if matrix == "h5":
        csc = sp.csc_matrix(counts.T)
        with h5py.File(place / "filtered_feature_bc_matrix.h5", "w") as file:
            group = file.create_group("matrix")
            for key in ("data", "indices", "indptr"):
                group[key] = getattr(csc, key)
            group["shape"] = csc.shape
            group["barcodes"] = np.array(list(inside.barcode), dtype="S")
            features = group.create_group("features")
            for key, value in (("id", IDS), ("name", SYMBOLS), ("feature_type", kinds)):
                features[key] = np.array(value, dtype="S")
    else:
        folder_ = place / "filtered_feature_bc_matrix"
        folder_.mkdir()
        with gzip.open(folder_ / "matrix.mtx.gz", "wb") as file:
            scipy.io.mmwrite(file, sp.coo_matrix(counts.T))
        lines = ["\t".join(row) for row in zip(IDS, SYMBOLS, kinds, strict=True)]
        for key, value in (("features", lines), ("barcodes", list(inside.barcode))):
            with gzip.open(folder_ / f"{key}.tsv.gz", "wt") as file:
                file.write("\n".join(value) + "\n")
    return inside, counts


VISIUM = {"name": "V1", "format": "space-ranger", "path": "outs", "z_um": 5}


@pytest.mark.parametrize(("version", "matrix"), [(2, "h5"), (1, "h5"), (2, "mtx"), (1, "mtx")])
def test_space_ranger_of_every_version(tmp_path, version, matrix):
    inside, counts = outs(tmp_path, version, matrix)
    section = imported(tmp_path, VISIUM)
    assert list(section.obs_names) == list(inside.barcode)
    np.testing.assert_array_equal(section.X.toarray(), counts[:, :3])
    pixels = inside[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy()
    np.testing.assert_allclose(section.obsm["spatial"][:, :2], pixels * UM_PER_PIXEL, rtol=1e-6)
    assert section.uns["vortex"]["spot_diameter_um"] == 55
    assert list(section.var_names) == ["KRT8", "TBCE_ENSG2", "TBCE_ENSG3"]
    assert list(section.var["gene_id"]) == IDS[:3]
    assert list(section.var["symbol"]) == SYMBOLS[:3]


@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.booleans())
def test_the_lattice_tells_the_pixel_size_at_any_angle(scale, angle, mirrored):
    row, col = np.divmod(np.arange(30), 6)
    col = 2 * col + row % 2
    um = np.column_stack([col * 50.0, row * 100 * np.sqrt(0.75)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pixel = (um * [-1 if mirrored else 1, 1]) @ turn.T / scale + 12
    assert lattice_scale(np.column_stack([row, col]), pixel) == pytest.approx(scale)


def test_damaged_space_ranger_folders_are_told(tmp_path):
    outs(tmp_path)
    file = tmp_path / "outs" / "filtered_feature_bc_matrix.h5"
    data = file.read_bytes()
    file.write_bytes(data[:500])
    assert "damaged" in said(tmp_path, VISIUM)
    file.unlink()
    assert "holds no filtered_feature_bc_matrix.h5" in said(tmp_path, VISIUM)
    file.write_bytes(data)
    positions = tmp_path / "outs" / "spatial" / "tissue_positions.csv"
    table_ = pd.read_csv(positions)
    table_["barcode"] = "x" + table_["barcode"]
    table_.to_csv(positions, index=False)
    assert "32 of 32 barcodes have no place" in said(tmp_path, VISIUM)
    positions.unlink()
    assert "holds no tissue_positions.csv" in said(tmp_path, VISIUM)


# -- AnnData ----------------------------------------------------------------------------------


def h5ad(folder, places=None, **layers):
    data = anndata.AnnData(
        X=sp.csr_matrix(np.log1p(COUNTS)),
        obs=pd.DataFrame({"slide": ["a"] * 8 + ["b"] * 8}, index=[f"s{n}" for n in range(16)]),
        var=pd.DataFrame({"ens": [f"ENSG{n}" for n in range(4)]}, index=GENES),
        obsm={"spatial": np.array(GRID, float) if places is None else places},
        layers={"counts": sp.csr_matrix(COUNTS)},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.write_h5ad(folder / "a.h5ad")
    return {
        "name": "a",
        "format": "h5ad",
        "path": "a.h5ad",
        "layer": "counts",
        "um_per_pixel": 2,
        "spot_diameter_um": 8,
        "z_um": 3,
        "columns": {"gene_id": "ens"},
    }


def test_an_anndata_file(tmp_path):
    section = imported(tmp_path, h5ad(tmp_path))
    np.testing.assert_array_equal(section.X.toarray(), COUNTS)
    np.testing.assert_allclose(section.obsm["spatial"][3], [4, 12, 3])
    assert list(section.var["gene_id"]) == [f"ENSG{n}" for n in range(4)]
    assert list(section.var_names) == GENES
    assert imported(tmp_path, h5ad(tmp_path) | {"select": {"slide": "b"}}).n_obs == 8


def test_an_anndata_file_with_depth_of_its_own(tmp_path):
    places = np.column_stack([GRID, np.arange(16.0)])
    manifest = h5ad(tmp_path, places) | {"um_per_pixel": 1}
    del manifest["z_um"]
    np.testing.assert_allclose(imported(tmp_path, manifest).obsm["spatial"], places)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"layer": None}, "not whole"),
        ({"layer": "count"}, "Did you mean counts?"),
        ({"layer": "raw"}, "no .raw"),
        ({"spatial": "X_spatial"}, "No place (obsm key) is named 'X_spatial'"),
        ({"select": {"slide": "z"}}, "No value of slide"),
        ({"columns": {"gene_id": "gene"}}, "No column of var is named 'gene'"),
        ({"um_per_pixel": None}, "'um_per_pixel' is missing"),
    ],
)
def test_mistakes_about_an_anndata_file_are_told(tmp_path, change, text):
    assert text in said(tmp_path, h5ad(tmp_path) | change)


def test_a_damaged_anndata_file_is_told(tmp_path):
    manifest = h5ad(tmp_path)
    data = (tmp_path / "a.h5ad").read_bytes()
    (tmp_path / "a.h5ad").write_bytes(data[:1000])
    assert "cannot be read as .h5ad" in said(tmp_path, manifest)


def test_spatialdata_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spatialdata", None)
    (tmp_path / "x.zarr").mkdir()
    manifest = {"name": "a", "format": "spatialdata", "path": "x.zarr", "z_um": 0}
    assert "pip install 'vortex-viewer[spatialdata]'" in said(tmp_path, manifest)


def test_a_spatialdata_store(tmp_path):
    spatialdata = pytest.importorskip(
        "spatialdata", reason="the spatialdata extra is not installed"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from spatialdata.models import ShapesModel, TableModel
        from spatialdata.transformations import Identity, Scale

        moves = {"global": Identity(), "um": Scale([0.5, 0.5], axes=("x", "y"))}
        shapes = ShapesModel.parse(
            np.array(GRID, float) * 100, geometry=0, radius=50.0, transformations=moves
        )
        shapes.index = pd.Index(np.arange(16) * 2)
        obs = pd.DataFrame({"region": pd.Categorical(["spots"] * 16), "spot": shapes.index[::-1]})
        obs.index = obs.index.astype(str)
        data = anndata.AnnData(sp.csr_matrix(COUNTS), obs=obs, var=pd.DataFrame(index=GENES))
        table_ = TableModel.parse(data, region="spots", region_key="region", instance_key="spot")
        store = spatialdata.SpatialData(shapes={"spots": shapes}, tables={"table": table_})
        store.write(tmp_path / "a.zarr")
    manifest = {
        "name": "a",
        "format": "spatialdata",
        "path": "a.zarr",
        "z_um": 4,
        "um_per_pixel": 1,
        "spot_diameter_um": 50,
    }
    assert "name one under columns.coordinate_system" in said(tmp_path, manifest)
    section = imported(tmp_path, manifest | {"columns": {"coordinate_system": "um"}})
    np.testing.assert_array_equal(section.X.toarray(), COUNTS)
    np.testing.assert_allclose(section.obsm["spatial"][0], [GRID[-1][0] * 50, GRID[-1][1] * 50, 4])
