"""Encoders: the registry, texture on sections and volumes, timm with the user's weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from vortex_model.encoders import Block, Subject, available, create, vocabulary
from vortex_model.encoders.dictionary import _centres
from vortex_model.encoders.pixels import area_matrix, resample, to_rgb
from vortex_model.encoders.pooling import blur, gaussian
from vortex_model.encoders.texture_maps import Scales
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Channel

RGB = (Channel("red", "red"), Channel("green", "green"), Channel("blue", "blue"))
NUCLEI = (Channel("nuclei", "nuclear"),)
TWO = (Channel("nuclei", "nuclear"), Channel("eosin", "cytoplasm"))
GLASS = ((0.0, 240.0),) * 3
STAIN = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def noise(shape: tuple[int, ...], seed: int, sigma: float) -> npt.NDArray[np.float64]:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return field / field.std()


def stained(haematoxylin: npt.ArrayLike, eosin: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """An RGB plane (3, 1, y, x) of these amounts of stain."""
    unit = STAIN / np.linalg.norm(STAIN, axis=1, keepdims=True)
    h, e = np.broadcast_arrays(np.asarray(haematoxylin, float), np.asarray(eosin, float))
    density = unit[0][:, None, None] * h + unit[1][:, None, None] * e
    return (240 * 10**-density).astype(np.float32)[:, None]


def discs(size: int, count: int, radius: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """Nuclei: discs on a jittered lattice, never touching, (y, x) in 0..1."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(count))
    pitch = size / side
    centres = (np.indices((side, side)).reshape(2, -1).T + 0.5) * pitch
    centres += rng.uniform(-0.1, 0.1, centres.shape) * pitch
    y, x = np.indices((size, size))
    image = np.zeros((size, size))
    for cy, cx in centres:
        image[np.hypot(y - cy, x - cx) <= radius] = 1
    return image


def encode(
    voxels: npt.NDArray[np.float32],
    spacing_um: tuple[float, float, float],
    factor: tuple[int, int, int],
    channels: tuple[Channel, ...] = RGB,
    scales: tuple[tuple[float, float], ...] = GLASS,
    planar: bool = True,
    encoder: Any = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Features of a block that is all tissue, by name."""
    grid = Grid(voxels.shape[1:], spacing_um)
    lattice = grid.coarsen(factor)
    encoding = (encoder or create("texture")).prepare(
        Subject(channels, spacing_um, lattice.spacing_um, planar)
    )
    block = Block(voxels, grid, np.ones(voxels.shape[1:], bool), channels, scales)
    tokens = encoding.encode(block, lattice)
    assert len(tokens) == encoding.token_count
    features = list(encoding.context(tokens, np.ones(lattice.shape, np.float32)))
    assert len(features) == len(encoding.channel_names) == len(encoding.groups)
    return dict(zip(encoding.channel_names, features, strict=True))


def middle(features: dict[str, Any], name: str) -> float:
    volume = features[next(n for n in features if n.startswith(name))]
    return float(volume[tuple(n // 2 for n in volume.shape)])


# -- registry --------------------------------------------------------------------------------


def test_the_list_says_what_works_and_what_it_takes() -> None:
    rows = {row.name: row for row in available()}
    assert rows["texture"].usable and rows["texture"].why == ""
    assert not rows["timm:NAME"].usable and "checkpoint" in rows["timm:NAME"].why
    json.dumps([row.to_json() for row in rows.values()])


def test_a_misspelt_encoder_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean texture"):
        create("textur")
    with pytest.raises(UnknownNameError):
        create("timm:")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(VortexError, match="checkpoint"):
        create("texture", checkpoint="x")
    with pytest.raises(UnknownNameError, match="checkpoint"):
        create("timm:vit_tiny_patch16_224", chekpoint="x")


def test_texture_and_features_need_no_torch() -> None:
    script = (
        "import sys; from vortex_model.encoders import available, create; create('texture');"
        "import vortex_model.features; available();"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)


# -- texture on sections ---------------------------------------------------------------------


def test_stains_come_back_as_amounts() -> None:
    features = encode(stained(np.full((96, 96), 0.3), 0.2), (10.0, 2.0, 2.0), (1, 16, 16))
    assert middle(features, "haematoxylin mean") == pytest.approx(0.3, abs=0.01)
    assert middle(features, "eosin mean") == pytest.approx(0.2, abs=0.01)
    assert middle(features, "haematoxylin deviation") < 0.02


@pytest.mark.parametrize("um", [1.0, 1.5, 2.0])
def test_nuclei_are_counted_in_micrometres_whatever_the_voxel(um: float) -> None:
    """100 nuclei of 4.5 um radius in (320 um)^2, about one in 1000 um2."""
    size = round(320 / um)
    image = stained(discs(size, 100, 4.5 / um) * 0.6, 0.15)
    features = encode(image, (10.0, um, um), (1, round(32 / um), round(32 / um)))
    count = np.mean(features[next(n for n in features if n.startswith("haematoxylin blobs 3.2"))])
    assert count == pytest.approx(100 / 320**2 * 1000, rel=0.15)


def test_more_nuclei_count_more() -> None:
    counts = []
    for number in (36, 144):
        image = stained(discs(256, number, 2.5) * 0.6, 0.15)
        features = encode(image, (10.0, 1.5, 1.5), (1, 32, 32))
        name = next(n for n in features if n.startswith("haematoxylin blobs 3.2"))
        counts.append(features[name].mean())
        assert middle(features, "nuclear area") > 0.01
    assert counts[1] == pytest.approx(4 * counts[0], rel=0.1)


def test_lumen_and_fibres_show() -> None:
    """White halves are lumen; stripes are coherent, noise is not."""
    x = np.arange(256)
    stripes = np.broadcast_to(0.2 + 0.1 * np.sin(x / 3), (256, 256)).copy()
    stripes[:, 128:] = 0.2 + 0.1 * noise((256, 128), 1, 2.0)
    features = encode(stained(0.05, stripes), (10.0, 2.0, 2.0), (1, 16, 16))
    coherence = features[next(n for n in features if "coherence" in n)][0]
    assert coherence[8, 3] > 0.9 > 0.6 > coherence[8, 12]
    white = np.full((256, 256), 0.3)
    white[:, 128:] = 0
    features = encode(stained(0, white), (10.0, 2.0, 2.0), (1, 16, 16))
    lumen = features[next(n for n in features if n.startswith("lumen"))][0]
    assert lumen[8, 3] < 0.05 and lumen[8, 13] > 0.9


@pytest.mark.parametrize("turn", ["quarter", "flip"])
def test_features_turn_with_the_section(turn: str) -> None:
    def move(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.rot90(array, axes=(-2, -1)) if turn == "quarter" else array[..., ::-1]

    image = stained(np.abs(noise((192, 192), 2, 2.0)) * 0.3, 0.2 + 0.05 * noise((192, 192), 3, 4.0))
    straight = encode(image, (10.0, 1.5, 1.5), (1, 16, 16))
    turned = encode(np.ascontiguousarray(move(image)), (10.0, 1.5, 1.5), (1, 16, 16))
    for name, values in straight.items():
        scale = max(float(values.std()), 1e-3)
        assert np.abs(move(values) - turned[name]).max() < 0.02 * scale, name


def test_scales_finer_than_the_voxels_are_left_out() -> None:
    assert min(Scales.of(1.37).edges_um) == 1.2
    for voxel in (4.0, 10.0, 40.0):
        scales = Scales.of(voxel)
        assert min(scales.edges_um) >= 0.7 * voxel and len(scales.edges_um) >= 2
        assert min(scales.blobs_um) >= 0.8 * voxel and len(scales.blobs_um) >= 2
    windows = {
        token: create("texture").prepare(Subject(RGB, (10, 4, 4), (10, token, token), True)).groups
        for token in (25.0, 120.0)
    }
    assert list(dict.fromkeys(windows[25.0])) == [
        "25 um", "50 um", "100 um", "200 um", "400 um", "800 um"
    ]  # fmt: skip
    assert list(dict.fromkeys(windows[120.0])) == ["120 um", "400 um", "800 um", "1.6e+03 um"]


# -- visual words ----------------------------------------------------------------------------


def some_words(words: int = 6) -> vocabulary.Vocabulary:
    """Random words, learned from random patches as the encoder learns them."""
    random = np.random.default_rng(5)
    turns = vocabulary._turns()
    patches = random.normal(size=(400, vocabulary.PATCH**2 * vocabulary.CHANNELS))
    patches += 3 * random.normal(size=(400, 1))
    mean, whiten, back = vocabulary._whitening(patches, turns)
    atoms = random.normal(size=(words, whiten.shape[1])) @ back.T
    turned = np.stack([atoms[:, t] @ whiten for t in turns], axis=1)
    arrays = (mean, whiten, turned.reshape(8 * words, -1), np.zeros(words), np.eye(words))
    return vocabulary.Vocabulary(*(a.astype(np.float32) for a in arrays))


def test_words_know_no_turn() -> None:
    """A patch answers the same, turned by 90 degrees or mirrored, and not as another patch."""
    words = some_words()
    side = vocabulary.PATCH
    patches = (
        np.random.default_rng(6)
        .normal(size=(20, side, side, vocabulary.CHANNELS))
        .astype(np.float32)
    )
    straight = words.responses(patches.reshape(20, -1))
    assert straight.std(axis=0).min() > 0.01
    for turn in range(4):
        for mirror in (1, -1):
            moved = np.rot90(patches, turn, axes=(1, 2))[:, :, ::mirror]
            found = words.responses(np.ascontiguousarray(moved).reshape(20, -1))
            assert np.abs(found - straight).max() < 1e-3


def test_a_word_answers_most_to_itself() -> None:
    words = some_words()
    own = words.turned.reshape(-1, 8, words.turned.shape[1])[:, 3]
    patches = own @ np.linalg.pinv(words.whiten) + words.mean
    assert (words.responses(patches).argmax(axis=1) == np.arange(len(own))).all()


def test_kmeans_puts_turned_copies_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shapes in eight turns each make two words, not sixteen."""
    monkeypatch.setattr(vocabulary, "WORDS", 6)
    random = np.random.default_rng(7)
    shapes = 5 * random.normal(size=(2, 8, 10))
    shapes /= np.linalg.norm(shapes, axis=2, keepdims=True)  # as turns leave it
    which = np.arange(300) % 2
    start = random.integers(0, 8, 300)
    # A cyclic group stands in for the turns: copy t of a patch that was turned by s is s + t.
    places = np.stack([shapes[which, (start + t) % 8] for t in range(8)]).astype(np.float32)
    words = vocabulary._cluster(places)
    distance = ((words[:, None, None] - shapes) ** 2).sum(axis=3).min(axis=2)
    assert distance.min(axis=1).max() < 1e-6
    assert set(distance.argmin(axis=1)) == {0, 1}


def test_patches_lie_alike_in_every_block() -> None:
    """Counted from the image's corner, on whole pixels, at least one to a token."""
    for step, unit, token in ((4, 1, 7), (8, 2, 24), (6, 2, 7), (1, 1, 3)):
        whole = _centres(0, 20 * token, step, unit)
        parts = [_centres(a * token, (a + 5) * token, step, unit) for a in range(0, 20, 5)]
        assert (np.concatenate(parts) == whole).all() and (whole % unit == 0).all()
        assert len(np.unique(whole // token)) == 20


# -- texture on volumes ----------------------------------------------------------------------


def test_intensity_of_a_volume_is_kept() -> None:
    """No z-score by patch: a volume twice as bright has features twice as bright."""
    base = 100 + 50 * (noise((32, 48, 48), 4, 2.0).astype(np.float32) + 4)[None]
    features = [
        encode(v, (5.0, 5.0, 5.0), (8, 8, 8), NUCLEI, ((100.0, 1100.0),), planar=False)
        for v in (base, 2 * base - 100)
    ]
    first, second = (middle(f, "nuclei mean") for f in features)
    assert second == pytest.approx(2 * first, rel=0.01)


def test_sheets_and_fibres_differ_in_three_dimensions() -> None:
    z, y, _ = np.indices((48, 48, 48))
    sheets = (np.sin(z / 2) > 0).astype(np.float32)
    fibres = ((np.sin(z / 2) > 0) & (np.sin(y / 2) > 0)).astype(np.float32)
    found = {}
    for name, volume in (("sheets", sheets), ("fibres", fibres), ("noise", noise(z.shape, 5, 1.5))):
        features = encode(
            volume[None].astype(np.float32), (2.0, 2.0, 2.0), (12, 12, 12), NUCLEI, ((0, 1),), False
        )
        found[name] = (
            middle(features, next(n for n in features if "linearity" in n)),
            middle(features, next(n for n in features if "planarity" in n)),
        )
    assert found["sheets"][0] > 0.9  # one direction of change
    assert found["fibres"][1] > 0.9 > 0.1 > found["fibres"][0]  # two
    assert max(found["noise"]) < 0.5


def test_a_depth_that_planes_do_not_show_is_seen_in_volumes_only() -> None:
    """The same middle plane with other neighbours: a volume's features know, a plane's do not."""
    thin = np.zeros((17, 64, 64), np.float32)
    thin[8] = noise((64, 64), 6, 2.0)
    thick = np.repeat(thin[8:9], 17, axis=0)

    def size(volume: npt.NDArray[np.float32], planar: bool) -> float:
        part = volume[8:9] if planar else volume
        grid_factor = (1, 16, 16) if planar else (17, 16, 16)
        features = encode(part[None], (2.0, 2.0, 2.0), grid_factor, NUCLEI, ((0, 1),), planar)
        return middle(features, "nuclei band")

    assert size(thin, True) == size(thick, True)
    assert size(thin, False) < 0.8 * size(thick, False)


# -- blurring on half the voxels -------------------------------------------------------------


def test_the_cheap_blur_is_a_gaussian_one() -> None:
    field = noise((1, 401, 350), 7, 3.0).astype(np.float32)
    for sigma in (7.0, 15.0, 20.0):
        exact = gaussian(field, (0, sigma, sigma))
        inner = (slice(None), slice(80, 320), slice(80, 270))
        error = np.abs(blur(field, (0, sigma, sigma)) - exact)[inner].max()
        assert error < 0.05 * exact[inner].std()
    assert blur(np.ones((1, 33, 47), np.float32), (0, 20, 20)) == pytest.approx(1.0)


# -- timm ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer in the hub's format: config.json and model.safetensors."""
    from vortex_model.torchvision_shim import import_torchvision

    import_torchvision()
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    arguments = {"depth": 2, "embed_dim": 48, "num_heads": 3}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=10, **arguments)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    folder = tmp_path_factory.mktemp("vit")
    save_file(model.state_dict(), folder / "model.safetensors")
    torch.save(model.state_dict(), folder / "weights.pt")
    config = {
        "architecture": "vit_tiny_patch16_224",
        "model_args": arguments,
        "pretrained_cfg": {"mean": [0.6, 0.5, 0.7], "std": [0.2, 0.3, 0.25], "license": "mit"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_no_weights_is_an_error_that_says_how_to_get_them() -> None:
    with pytest.raises(VortexError, match=r"checkpoint=FILE.*download=True"):
        create("timm:vit_tiny_patch16_224")


def test_patch_tokens_agree_with_timm_on_the_whole_image(vit: Path) -> None:
    import timm
    import torch
    from safetensors.torch import load_file

    model = timm.create_model(
        "vit_tiny_patch16_224", num_classes=10, depth=2, embed_dim=48, num_heads=3
    ).eval()
    model.load_state_dict(load_file(vit / "model.safetensors"))
    rng = np.random.default_rng(8)
    image = rng.uniform(0, 240, (3, 1, 224, 224)).astype(np.float32)
    normal = (image[:, 0] / 255 - np.reshape([0.6, 0.5, 0.7], (3, 1, 1))) / np.reshape(
        [0.2, 0.3, 0.25], (3, 1, 1)
    )
    with torch.inference_mode():
        tokens = model.forward_features(torch.from_numpy(normal[None]).float())[0, 1:]
    expected = tokens.numpy().reshape(14, 14, 48).transpose(2, 0, 1)

    encoder = create("timm:vit_tiny_patch16_224", checkpoint=vit, tile=224, context_um=())
    # The middle 160 pixels (80 um) of the image are one tile with its halo.
    grid = Grid((1, 224, 224), (10.0, 0.5, 0.5))
    lattice = Grid((1, 10, 10), (10.0, 8.0, 8.0), (0.0, 15.75 + 4.0, 15.75 + 4.0))
    encoding = encoder.prepare(Subject(RGB, grid.spacing_um, lattice.spacing_um, True))
    block = Block(image, grid, np.ones(grid.shape, bool), RGB, GLASS)
    found = encoding.encode(block, lattice)[:, 0]
    assert np.abs(found - expected[:, 2:12, 2:12]).max() < 1e-4 * np.abs(expected).max()


def test_tokens_lie_where_their_pixels_are(vit: Path) -> None:
    """A bright spot moves the token at its place most, over several tiles."""
    encoder = create("timm:vit_tiny_patch16_224", checkpoint=vit, tile=96, context_um=())
    plain = np.full((3, 1, 256, 256), 120, np.float32)
    spot = plain.copy()
    spot[:, :, 176:192, 64:80] = 0
    both = [
        np.stack(list(encode(v, (10.0, 0.5, 0.5), (1, 16, 16), encoder=encoder).values()))
        for v in (plain, spot)
    ]
    change = np.abs(both[1] - both[0]).sum(axis=0)[0]
    assert np.unravel_index(change.argmax(), change.shape) == (11, 4)


@pytest.mark.parametrize("file", ["model.safetensors", "weights.pt", ""])
def test_weights_make_the_id_whatever_file_they_came_in(vit: Path, file: str) -> None:
    encoder = create("timm:vit_tiny_patch16_224", checkpoint=vit / file)
    whole = create("timm:vit_tiny_patch16_224", checkpoint=vit)
    assert encoder.parameters == whole.parameters
    assert encoder.parameters["mean"] == [0.6, 0.5, 0.7]
    other = create("timm:vit_tiny_patch16_224", checkpoint=vit, um_per_pixel=0.25)
    assert other.parameters != whole.parameters


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("broken.safetensors", b"nothing", "cannot be read as weights"),
        ("hostile.pt", b"\x80\x02cos\nsystem\n(S'true'\ntR.", "cannot be read as weights"),
    ],
)
def test_a_bad_checkpoint_is_an_error(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VortexError, match=says):
        create("timm:vit_tiny_patch16_224", checkpoint=tmp_path / name)


def test_what_does_not_fit_is_said(vit: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone.safetensors"
    lone.write_bytes((vit / "model.safetensors").read_bytes())
    with pytest.raises(VortexError, match="does not fit"):
        create("timm:vit_tiny_patch16_224", checkpoint=lone)
    with pytest.raises(VortexError, match="no checkpoint at"):
        create("timm:vit_tiny_patch16_224", checkpoint=tmp_path / "absent.pt")
    with pytest.raises(VortexError, match="holds no weights"):
        create("timm:vit_tiny_patch16_224", checkpoint=tmp_path)
    with pytest.raises(UnknownNameError, match="vit_tiny_patch16_224"):
        create("timm:vit_tinny_patch16_224", checkpoint=lone)
    with pytest.raises(VortexError, match="vision transformer"):
        create("timm:resnet18", checkpoint=lone)


def test_fluorescence_becomes_virtual_h_and_e() -> None:
    voxels = np.zeros((2, 1, 4, 4), np.float32)
    voxels[0, :, 0] = 1000
    voxels[1, :, 2] = 1000
    grid = Grid((1, 4, 4), (1.0, 1.0, 1.0))
    block = Block(voxels, grid, np.ones((1, 4, 4), bool), TWO, ((0.0, 1000.0),) * 2)
    rgb = to_rgb(block, 0)
    assert (rgb[:, 1] == 1).all()  # empty is white
    red, green, blue = rgb[:, 0, 0]
    assert blue > red and blue > green  # nuclei are blue
    red, green, blue = rgb[:, 2, 0]
    assert red > green  # cytoplasm is pink
    lone = Block(voxels[:1], grid, np.ones((1, 4, 4), bool), NUCLEI, ((0.0, 1000.0),))
    grey = to_rgb(lone, 0)
    assert (grey[0] == grey[2]).all() and grey[0, 0, 0] == 1 and grey[0, 1, 0] == 0


def test_resampling_keeps_places_and_whole_pixels() -> None:
    grid = Grid((1, 40, 60), (1.0, 0.5, 0.5), (0.0, 7.25, 3.25))
    y, x = np.meshgrid(grid.axis_um(1), grid.axis_um(2), indexing="ij")
    plane = np.stack([y, x, y + x]).astype(np.float32)
    same = resample(plane, grid, (7.0 + 5 * 0.5, 3.0 + 8 * 0.5), 0.5, 16)
    assert (same == plane[:, 5:21, 8:24]).all()
    coarse = resample(plane, grid, (9.0, 6.0), 1.0, 10)
    assert coarse[0, :, 0] == pytest.approx(9.5 + np.arange(10), abs=1e-3)
    assert coarse[1, 0] == pytest.approx(6.5 + np.arange(10), abs=1e-3)


def test_areas_are_shared_without_loss() -> None:
    matrix = area_matrix(25, 8.0, 6, 33.0)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(6), abs=0.02)
