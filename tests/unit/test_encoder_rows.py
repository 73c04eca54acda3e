"""Pathology encoders by name: full-size facts, small checkpoints as published, errors."""

from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import small

from vortex_model.encoders import Block, Subject, access, available, create, forget, remember
from vortex_model.encoders.catalogue import KNOWN
from vortex_model.encoders.settings import settings_file
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Channel

RGB = (Channel("red", "red"), Channel("green", "green"), Channel("blue", "blue"))
GLASS = ((0.0, 255.0),) * 3


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """Each test remembers by itself, and finds no token and no cache of the machine."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.fixture(autouse=True, scope="module")
def shim():
    from vortex_model.torchvision_shim import import_torchvision

    import_torchvision()


@pytest.mark.parametrize("name", KNOWN)
def test_a_row_makes_the_published_model(name):
    """Counts of weights and widths are those of the model cards; nothing is allocated."""
    import torch

    with torch.device("meta"):
        from vortex_model.encoders.known import _with_layers
        from vortex_model.encoders.timm_weights import make

        row = KNOWN[name]
        model = make(row.architecture, _with_layers(row.arguments))
    count = sum(p.numel() for p in model.parameters()) / 1e6
    assert count == pytest.approx(row.weights_millions, abs=0.06)
    assert model.num_features == row.width
    prefix = {"uni2-h": 9, "virchow2": 5, "h-optimus-0": 5}.get(name, 1)
    assert model.num_prefix_tokens == prefix
    side = row.input_size // model.patch_embed.patch_size[0]
    assert model.patch_embed.grid_size == (side, side)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", [n for n in KNOWN if not n.startswith("conch")])
def test_a_tile_gives_what_the_model_card_says(name, file, tmp_path):
    import torch

    place, model = small(name, tmp_path / name, file=file)
    encoder = create(name, checkpoint=place, pooling="tile", tile=model_side(model))
    row = KNOWN[name]
    assert encoder.name == name and encoder.spacing_um == row.um_per_pixel
    tile = np.random.default_rng(0).uniform(0, 255, (3, 1, encoder.tile, encoder.tile))
    normal = (tile[:, 0] / 255 - np.reshape(row.mean, (3, 1, 1))) / np.reshape(row.std, (3, 1, 1))
    with torch.inference_mode():
        tokens = model.forward_features(torch.from_numpy(normal[None]).float())
    expected = tokens[0, 0]
    if row.pooling == "class and mean":
        skip = model.num_prefix_tokens
        expected = torch.cat([expected, tokens[0, skip:].mean(dim=0)])
    found = vector(encoder, tile)
    assert np.abs(found - expected.numpy()).max() < 1e-4 * np.abs(expected.numpy()).max()
    assert len(found) == 48 * row.embedding // row.width


def model_side(model):
    return model.patch_embed.patch_size[0] * 2


def vector(encoder, tile):
    """The encoder's one token of a tile."""
    side = tile.shape[-1]
    grid = Grid((1, side, side), (10.0, 0.5, 0.5))
    lattice = grid.coarsen((1, side, side))
    encoding = encoder.prepare(Subject(RGB, grid.spacing_um, lattice.spacing_um, True))
    block = Block(tile.astype(np.float32), grid, np.ones(grid.shape, bool), RGB, GLASS)
    return encoding.encode(block, lattice)[:, 0, 0, 0]


def conch_rest(width, embedding, seed=1):
    """What a CONCH checkpoint holds beside the trunk, by the published names."""
    import torch

    torch.manual_seed(seed)
    shapes = {
        "attn_pool_contrast.query": (1, embedding),
        "attn_pool_contrast.ln_k.weight": (width,),
        "attn_pool_contrast.ln_k.bias": (width,),
        "attn_pool_contrast.ln_q.weight": (embedding,),
        "attn_pool_contrast.ln_q.bias": (embedding,),
        "attn_pool_contrast.to_q.weight": (embedding, embedding),
        "attn_pool_contrast.to_kv.weight": (2 * embedding, width),
        "attn_pool_contrast.to_out.weight": (embedding, embedding),
        "ln_contrast.weight": (embedding,),
        "ln_contrast.bias": (embedding,),
    }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def conch_by_hand(tokens, rest):
    """CONCH's pooler written out head by head."""
    import torch

    def norm(x, name):
        return torch.nn.functional.layer_norm(
            x, x.shape[-1:], rest[f"{name}.weight"], rest[f"{name}.bias"]
        )

    pool = "attn_pool_contrast."
    query = norm(rest[pool + "query"], pool + "ln_q") @ rest[pool + "to_q.weight"].T
    both = norm(tokens, pool + "ln_k") @ rest[pool + "to_kv.weight"].T
    key, value = both.chunk(2, dim=-1)
    size = query.shape[-1] // 8
    heads = []
    for h in range(8):
        own = slice(h * size, (h + 1) * size)
        weight = torch.softmax(query[:, own] @ key[:, own].T / size**0.5, dim=-1)
        heads.append(weight @ value[:, own])
    out = torch.cat(heads, dim=-1) @ rest[pool + "to_out.weight"].T
    return norm(out, "ln_contrast")[0]


@pytest.mark.parametrize(("name", "outer"), [("conch", "visual."), ("conch-v1.5", "")])
def test_conch_is_read_from_its_published_names(name, outer, tmp_path):
    import torch

    rest = conch_rest(48, 32)
    extra = {outer + k: v for k, v in rest.items()}
    if outer:  # the whole model was published: its text tower is no concern of ours
        extra |= {"text.token_embedding.weight": torch.zeros(4, 4), "logit_scale": torch.ones(1)}
    place, model = small(
        name, tmp_path, outer + "trunk.", extra, file="pytorch_model.bin", img_size=64
    )
    encoder = create(name, checkpoint=place, pooling="tile", tile=64)
    row = KNOWN[name]
    tile = np.random.default_rng(0).uniform(0, 255, (3, 1, 64, 64))
    normal = (tile[:, 0] / 255 - np.reshape(row.mean, (3, 1, 1))) / np.reshape(row.std, (3, 1, 1))
    with torch.inference_mode():
        tokens = model.forward_features(torch.from_numpy(normal[None]).float())[0]
        expected = conch_by_hand(tokens, rest).numpy()
    np.testing.assert_allclose(vector(encoder, tile), expected, atol=2e-4 * np.abs(expected).max())
    bare, _ = small(name, tmp_path / "bare", outer + "trunk.", file="pytorch_model.bin")
    with pytest.raises(VortexError, match=r"attn_pool_contrast\.query"):
        create(name, checkpoint=bare)


def test_the_wrong_checkpoint_is_told_by_names_sizes_and_what_it_looks_like(tmp_path):
    place, _ = small("uni", tmp_path / "uni")
    with pytest.raises(VortexError, match=r"does not fit.*cls_token \(1, 1, 48\) for \(1, 1, 64\)"):
        create("uni", checkpoint=place, model_args={"embed_dim": 64, "num_heads": 4})
    with pytest.raises(VortexError, match=r"it has unknown 4 \(blocks.0.ls1.gamma"):
        create("kaiko-vits16", checkpoint=place)
    with pytest.raises(VortexError, match=r"it lacks 28 \(blocks.2"):
        create("uni", checkpoint=place, model_args={"depth": 4})
    other, _ = small("lunit-vits16", tmp_path / "vits", depth=12, embed_dim=384)
    (other / "config.json").unlink()
    with pytest.raises(VortexError, match=r"look like those of kaiko-vits16 or lunit-vits16"):
        create("kaiko-vitb16", checkpoint=other)
    (tmp_path / "bad.bin").write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(VortexError, match="cannot be read as weights"):
        create("uni", checkpoint=tmp_path / "bad.bin")
    with pytest.raises(UnknownNameError, match="checkpoint"):
        create("uni", chekpoint=place)


def test_rows_say_what_is_usable_now_and_what_to_do(tmp_path, monkeypatch):
    def row(name):
        return next(r for r in available() if r.name == name)

    assert not row("uni").usable and row("uni").gate and "hf auth login" in row("uni").why
    assert (
        "hf auth login" not in row("lunit-vits16").why and "--download" in row("kaiko-vits16").why
    )
    assert row("h-optimus-0").licence == "Apache-2.0" and row("h-optimus-0").um_per_pixel == 0.5
    assert row("virchow2").embedding == 2560 and row("conch").embedding == 512
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "secret")
    assert "hf auth login" not in row("uni").why and "granted access" in row("uni").why
    place, _ = small("uni", tmp_path / "uni")
    remember("uni", place)
    assert row("uni").usable and row("uni").why == ""
    assert "secret" not in settings_file().read_text()
    assert create("uni").parameters == create("uni", checkpoint=place).parameters
    (place / "model.safetensors").unlink()
    (place / "config.json").unlink()
    place.rmdir()
    assert not row("uni").usable
    forget("uni")
    with pytest.raises(VortexError, match=r"uni needs weights.*--checkpoint"):
        create("uni")
    with pytest.raises(VortexError, match="no checkpoint at"):
        remember("uni", place)
    settings_file().write_text("{")
    with pytest.raises(VortexError, match=r"encoders\.json"):
        available()


def test_a_remembered_checkpoint_serves_any_timm_encoder(tmp_path):
    place, _ = small("kaiko-vits16", tmp_path / "vit")
    remember("timm:vit_small_patch16_224", place)
    assert create("timm:vit_small_patch16_224").weights.width == 48


def test_weights_are_fetched_safetensors_first_and_a_refusal_is_explained(tmp_path, monkeypatch):
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    place, _ = small("uni", tmp_path / "uni", file="pytorch_model.bin")
    asked = []

    def download(hub, name):
        asked.append(name)
        if name != "pytorch_model.bin":
            raise EntryNotFoundError("none")
        return str(place / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    encoder = create("uni", download=True)
    assert asked == ["model.safetensors", "pytorch_model.bin"]
    assert len(encoder.origin["sha256"]) == 64 and encoder.origin["file"] == "pytorch_model.bin"

    def offline(hub, name):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(VortexError, match=r"cannot be reached.*ask on that page"):
        create("uni", download=True)

    def refused(hub, name):
        raise OSError("403 gated")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    with pytest.raises(VortexError, match="403 gated"):
        access.fetch(KNOWN["virchow2"])


def test_the_sha256_of_the_file_is_recorded_with_the_features(tmp_path):
    import hashlib

    from made_study import make_study

    from vortex_model.features import compute_features
    from vortex_model.study import Study

    place, _ = small("uni", tmp_path / "uni")
    study = Study.open(make_study(tmp_path / "made.zarr"))
    name = compute_features(study, create("uni", checkpoint=place, tile=96), spacing_um=80.0)
    kept = study.derived("features", name).attrs["features"]
    told = hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest()
    assert kept["origin"] == {"file": "model.safetensors", "sha256": told}
    assert kept["encoder"] == "uni"
    assert Path(settings_file()).parent.name == "vortex-viewer"
