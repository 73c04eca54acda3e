"""The network: exact to its 2D parent, fit to learn, and whole after a trip to disk."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.networks import decoders, poolers, timm_vit
from vortex_model.networks.alignment import Alignment, info_nce
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.expression_encoder import ExpressionEncoder
from vortex_model.networks.masked import MaskedAutoencoder, patches
from vortex_model.networks.model import Targets, VortexModel
from vortex_model.networks.scgpt import load_scgpt
from vortex_model.networks.sentences import Tokeniser
from vortex_model.networks.slices import SlicePath
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.vocabulary import Vocabulary, values
from vortex_model.networks.weights import load_into, read_weights, write_weights

GENES = [f"GENE{i}" for i in range(12)]
TINY = {"width": 32, "depth": 2, "heads": 2, "patch": [4, 4, 4], "tokens": [2, 3, 3]}
SMALL = {"rank": 5, "embedding": 16, "expression_width": 16, "expression_depth": 2}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes):
    return NetworkConfig.from_json({**TINY, **SMALL, **changes})


def counts_of(n, seed=0):
    return np.random.default_rng(seed).poisson(3.0, (n, len(GENES))).astype(np.float64)


def made(config, n=8):
    """A model, blocks of (8, 12, 12) voxels with one spot each, and targets."""
    basis = torch.linalg.qr(torch.randn(len(GENES), config.rank))[0].T.contiguous()
    counts = None
    if config.likelihood == "negative-binomial":
        counts = decoders.CountDecoder(torch.full((len(GENES),), 6.0), basis)
    model = VortexModel(config, vocabulary=Vocabulary.of(GENES), counts=counts)
    raw = counts_of(n)
    scores = torch.randn(n, config.rank)
    sentences = None
    if model.expression is not None:
        numbers = model.expression.tokeniser.vocabulary.numbers(GENES)
        sentences = model.expression.tokeniser(numbers, raw, raw.sum(axis=1))
    targets = Targets(
        scores=scores,
        variance=scores.var(dim=0),
        sentences=sentences,
        counts=torch.from_numpy(raw).float(),
        totals=torch.from_numpy(raw.sum(axis=1)).float(),
        measured=torch.ones(n, len(GENES), dtype=torch.bool),
    )
    depth = 4 if config.path == "slices" else 8
    volume = torch.randn(n, config.channels, depth, 12, 12)
    centres = torch.stack([torch.arange(n), *(torch.full((n,), i) for i in (1, 1, 1))], dim=1)
    z_um = torch.arange(depth).float().expand(n, -1) * 16.0
    return model, (volume, centres, targets, z_um)


# -- the 3D ViT ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reg_tokens": 3, "no_embed_class": True, "init_values": 1e-5},
        {"class_token": False, "global_pool": "avg", "qk_norm": True, "pre_norm": True},
    ],
)
def test_depth_one_gives_the_2d_model_back(options):
    base = {"img_size": 48, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2}
    flat = timm_vit.vision_transformer(**base, **options).eval()
    with torch.no_grad():
        for parameter in flat.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    image = torch.randn(2, 3, 48, 48)
    expected = flat.forward_features(image)
    copy = ViT3D(timm_vit.vision_transformer(**base, **options), 1, 1).eval()
    copy.load_2d(flat.state_dict())
    out = copy(image[:, :, None])
    joined = torch.cat([out.prefix, out.patches.flatten(1, 3)], dim=1)
    torch.testing.assert_close(joined, expected, atol=1e-5, rtol=1e-5)


def test_other_input_sizes_interpolate_positions_as_timm_does():
    base = {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    flat = timm_vit.vision_transformer(img_size=32, dynamic_img_size=True, **base).eval()
    copy = ViT3D(timm_vit.vision_transformer(img_size=32, **base), 1, 1).eval()
    copy.load_2d(flat.state_dict())
    image = torch.randn(1, 3, 40, 24)
    torch.testing.assert_close(
        copy(image[:, :, None]).patches.flatten(1, 3),
        flat.forward_features(image)[:, 1:],
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_volume_constant_along_z_embeds_as_its_plane():
    base = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    flat = timm_vit.vision_transformer(**base)
    deep = ViT3D(timm_vit.vision_transformer(**base), 4, 3)
    deep.load_2d(flat.state_dict())
    plane = torch.randn(1, 3, 16, 16)
    tokens, grid = deep.tokenise(plane[:, :, None].expand(-1, -1, 12, -1, -1))
    assert grid == (3, 2, 2)
    expected = flat.patch_embed(plane) + flat.pos_embed[:, 1:]
    torch.testing.assert_close(tokens, expected.repeat(1, 3, 1), atol=1e-5, rtol=1e-5)


def test_a_2d_checkpoint_of_another_plane_patch_and_colour_loads():
    flat = timm_vit.vision_transformer(
        img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2, num_classes=7
    )
    deep = ViT3D.of(tiny(patch=[4, 8, 8], tokens=[2, 3, 3]))
    deep.load_2d(flat.state_dict())
    assert deep(torch.randn(1, 2, 8, 24, 32)).patches.shape == (1, 2, 3, 4, 32)


def test_a_checkpoint_of_another_architecture_is_refused_by_name():
    flat = timm_vit.vision_transformer(
        img_size=48, patch_size=16, embed_dim=32, depth=3, num_heads=2, init_values=1e-5
    )
    with pytest.raises(VortexError, match=r"blocks\.\d\.ls1\.gamma.*not known"):
        ViT3D.of(tiny()).load_2d(flat.state_dict())
    wide = timm_vit.vision_transformer(
        img_size=48, patch_size=16, embed_dim=64, depth=2, num_heads=2
    )
    with pytest.raises(VortexError, match="another size"):
        ViT3D.of(tiny()).load_2d(wide.state_dict())


def test_what_is_no_vit_or_no_block_is_refused():
    with pytest.raises(VortexError, match="no timm VisionTransformer"):
        ViT3D(torch.nn.Linear(2, 2), 1, 1)
    with pytest.raises(VortexError, match="multiples of"):
        ViT3D.of(tiny())(torch.zeros(1, 2, 8, 12, 13))


def test_depth_order_matters_once_trained():
    model = ViT3D.of(tiny(tokens=[4, 1, 1])).eval()
    block = torch.zeros(1, 2, 16, 4, 4)
    block[:, :, :4] = 1.0
    straight, turned = model(block).patches, model(block.flip(2)).patches.flip(1)
    assert (straight - turned).abs().max() > 1e-3


# -- the slice path ------------------------------------------------------------------------------


def test_any_2d_encoder_serves_and_planes_see_each_other():
    def encoder(planes):
        return planes.unflatten(-1, (3, 4)).mean(-1).permute(0, 2, 3, 1)[:, ::4]

    path = SlicePath(encoder, 2, width=16, depth=1, heads=2).eval()
    volume = torch.randn(2, 2, 5, 12, 12)
    z_um = torch.arange(5.0).expand(2, -1) * 100.0
    out = path(volume, z_um)
    assert out.shape == (2, 5, 3, 3, 16)
    changed = volume.clone()
    changed[:, :, 4] += 1.0
    assert (path(changed, z_um)[:, 0] - out[:, 0]).abs().max() > 1e-4
    torch.testing.assert_close(path(volume, z_um + 7000.0), out, atol=1e-3, rtol=1e-3)
    assert (path(volume, z_um * 0.1) - out).abs().max() > 1e-4


# -- poolers -------------------------------------------------------------------------------------


def test_windows_gather_what_lies_around_a_place():
    tokens = torch.arange(2 * 3 * 4 * 5).float().view(2, 3, 4, 5, 1)
    found, inside = poolers.windows(tokens, torch.tensor([[1, 1, 2, 2], [0, 0, 0, 4]]), (3, 3, 3))
    assert inside[0].all()
    torch.testing.assert_close(found[0].view(3, 3, 3), tokens[1, 0:3, 1:4, 1:4, 0])
    assert inside[1].sum() == 2 * 2 * 2
    assert found[1, 13, 0] == tokens[0, 0, 0, 4, 0]
    assert len(poolers.everywhere(tokens)) == 2 * 3 * 4 * 5


def test_a_pooler_ignores_tokens_outside():
    pool = poolers.AttentionPooler(16, 3, 2, 27).eval()
    tokens, inside = torch.randn(2, 27, 16), torch.rand(2, 27) > 0.5
    inside[:, 13] = True
    out = pool(tokens, inside)
    assert out.shape == (2, 3, 16)
    other = torch.where(inside[..., None], tokens, 99.0)
    torch.testing.assert_close(pool(other, inside), out)


# -- losses against other people's arithmetic ----------------------------------------------------


def test_info_nce_is_its_formula():
    rng = np.random.default_rng(1)
    left, right = (rng.normal(size=(6, 4)) for _ in range(2))
    left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (left, right))
    logits = left @ right.T / 0.05
    rows = [np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)]
    columns = [np.log(np.exp(col).sum()) - col[i] for i, col in enumerate(logits.T)]
    ours = info_nce(torch.from_numpy(left), torch.from_numpy(right), torch.tensor(20.0))
    assert float(ours) == pytest.approx((np.mean(rows) + np.mean(columns)) / 2, rel=1e-6)
    assert float(Alignment(4, 4, 4).scale.detach()) == pytest.approx(20.0)


def test_the_negative_binomial_is_scipys():
    counts = np.array([0.0, 1.0, 4.0, 30.0])
    mean, r = np.array([0.2, 3.0, 4.5, 10.0]), np.array([0.5, 2.0, 10.0, 1.0])
    ours = decoders.nb_log_likelihood(*(torch.from_numpy(v) for v in (counts, mean, r)))
    np.testing.assert_allclose(ours, stats.nbinom.logpmf(counts, r, r / (r + mean)), rtol=1e-6)


def test_counts_decode_to_the_counts_that_expression_means():
    decoder = decoders.CountDecoder(torch.tensor([np.log1p(20.0)]), torch.ones(1, 1))
    rate = decoder.rate(torch.zeros(2, 1), torch.tensor([10000.0, 500.0]))
    np.testing.assert_allclose(rate.detach().ravel(), [20.0, 1.0], rtol=1e-3)


def test_predicting_the_mean_costs_one():
    scores = torch.randn(5000, 3) * torch.tensor([3.0, 1.0, 0.1])
    loss = decoders.factor_loss(torch.zeros_like(scores), scores, scores.var(dim=0))
    assert float(loss) == pytest.approx(1.0, abs=0.02)


def test_retrieval_finds_planted_matches():
    bank = torch.nn.functional.normalize(torch.randn(200, 16), dim=1)
    what = torch.randn(200, 7)
    queries = torch.nn.functional.normalize(bank[:20] + 0.02 * torch.randn(20, 16), dim=1)
    found = decoders.retrieve(queries, bank, what, k=5, temperature=0.01)
    torch.testing.assert_close(found, what[:20], atol=0.05, rtol=0.05)
    with pytest.raises(VortexError, match="0 measured"):
        decoders.retrieve(queries, bank[:0], what[:0], k=5, temperature=0.05)


# -- expression ----------------------------------------------------------------------------------


def test_values_by_style():
    counts, totals = [[0.0, 1.0, 3.0, 9.0]], [100.0]
    np.testing.assert_allclose(values(counts, totals, "normed_raw"), [[0, 100, 300, 900]])
    np.testing.assert_allclose(
        values(counts, totals, "log1p"), np.log1p([[0, 100, 300, 900]]), rtol=1e-6
    )
    binned = values(counts, totals, "binned", bins=5)[0]
    assert binned[0] == 0 and binned[1] == 1 and binned[3] == 4 and (np.diff(binned) > 0).all()
    many = np.random.default_rng(0).permutation(np.arange(1.0, 5001.0))[None]
    held = np.bincount(values(many, [1.0], "binned").astype(int)[0])
    assert held[0] == 0 and len(held) == 51 and held[1:-1].min() > 90


def test_an_empty_spot_is_a_class_token_alone():
    encoder = ExpressionEncoder(
        Tokeniser(Vocabulary.of(GENES)), width=16, depth=1, heads=2, hidden=32
    ).eval()
    numbers = encoder.tokeniser.vocabulary.numbers(GENES)
    counts = np.zeros((2, len(GENES)))
    counts[1, 3] = 5.0
    sentences = encoder.tokeniser(numbers, counts, counts.sum(axis=1))
    assert sentences.genes.shape == (2, 2) and sentences.padding.tolist() == [[0, 1], [0, 0]]
    with torch.no_grad():
        out = encoder(sentences)
    alone = encoder.tokeniser(numbers, counts[:1], [0.0])
    torch.testing.assert_close(out[:1], encoder(alone).detach(), atol=1e-5, rtol=1e-5)
    assert torch.isfinite(out).all()


def test_gene_symbols_map_as_written_then_without_case():
    vocabulary = Vocabulary({"<pad>": 0, "<cls>": 1, "ACTB": 2, "Dup": 3, "DUP": 4})
    assert vocabulary.numbers(["ACTB", "Actb", "DUP", "dup", "NOPE"]).tolist() == [2, 2, 4, -1, -1]
    with pytest.raises(VortexError, match="not Ensembl ids"):
        vocabulary.numbers(["ENSG0001", "ENSG0002"])
    with pytest.raises(VortexError, match="<pad>"):
        Vocabulary({"A": 0})


# -- an scGPT checkpoint that the test makes -------------------------------------------------------


def scgpt_folder(tmp_path, flash=False, **changes):
    settings = {"embsize": 16, "nlayers": 2, "nheads": 2, "d_hid": 24, "n_bins": 51, "dropout": 0.2}
    settings |= {"input_emb_style": "continuous", "input_style": "binned", "pad_value": -2}
    vocabulary = {gene: i for i, gene in enumerate(GENES)} | {"<pad>": 12, "<cls>": 13, "<eoc>": 14}
    width, hidden = settings["embsize"], settings["d_hid"]
    shapes = {"encoder.embedding.weight": (15, width), "value_encoder.linear1.weight": (width, 1)}
    shapes |= {"value_encoder.linear1.bias": (width,), "value_encoder.linear2.bias": (width,)}
    shapes |= {"value_encoder.linear2.weight": (width, width), "flag_encoder.weight": (2, width)}
    shapes |= {"decoder.fc.0.weight": (width, width)}
    for norm in ("encoder.enc_norm", "value_encoder.norm"):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for layer in range(settings["nlayers"]):
        own = f"transformer_encoder.layers.{layer}."
        joint = "self_attn.Wqkv." if flash else "self_attn.in_proj_"
        shapes |= {f"{own}{joint}weight": (3 * width, width), f"{own}{joint}bias": (3 * width,)}
        shapes |= {f"{own}self_attn.out_proj.weight": (width, width)}
        shapes |= {f"{own}self_attn.out_proj.bias": (width,)}
        shapes |= {f"{own}linear1.weight": (hidden, width), f"{own}linear1.bias": (hidden,)}
        shapes |= {f"{own}linear2.weight": (width, hidden), f"{own}linear2.bias": (width,)}
        for norm in ("norm1", "norm2"):
            shapes |= {f"{own}{norm}.weight": (width,), f"{own}{norm}.bias": (width,)}
    torch.manual_seed(3)
    state = {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    tmp_path.mkdir(exist_ok=True)
    torch.save(state, tmp_path / "best_model.pt")
    (tmp_path / "args.json").write_text(json.dumps(settings | changes))
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    return tmp_path


def test_an_scgpt_checkpoint_loads_flash_or_not(tmp_path):
    plain = load_scgpt(scgpt_folder(tmp_path / "plain")).eval()
    flash = load_scgpt(scgpt_folder(tmp_path / "flash", flash=True)).eval()
    assert (plain.tokeniser.style, plain.tokeniser.bins, plain.tokeniser.cls_value) == (
        "binned",
        51,
        -2.0,
    )
    counts = counts_of(4)
    spots = plain.tokeniser(plain.tokeniser.vocabulary.numbers(GENES), counts, counts.sum(axis=1))
    assert (spots.genes[:, 0] == 13).all() and (spots.values[:, 0] == -2).all()
    torch.testing.assert_close(plain(spots), flash(spots))
    state = torch.load(tmp_path / "plain" / "best_model.pt", weights_only=True)
    torch.testing.assert_close(plain.encoder.embedding.weight, state["encoder.embedding.weight"])


def test_an_scgpt_forward_pass_is_its_published_arithmetic(tmp_path):
    encoder = load_scgpt(scgpt_folder(tmp_path)).eval()
    state = {
        k: v.numpy() for k, v in torch.load(tmp_path / "best_model.pt", weights_only=True).items()
    }
    counts = counts_of(1)
    spot = encoder.tokeniser(
        encoder.tokeniser.vocabulary.numbers(GENES), counts, counts.sum(axis=1)
    )

    def norm(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    value = spot.values.numpy()[0][:, None]
    x = norm(state["encoder.embedding.weight"][spot.genes.numpy()[0]], "encoder.enc_norm")
    hidden = linear(np.maximum(linear(value, "value_encoder.linear1"), 0), "value_encoder.linear2")
    x = x + norm(hidden, "value_encoder.norm")
    for layer in range(2):
        own = f"transformer_encoder.layers.{layer}."
        joint = (
            x @ state[f"{own}self_attn.in_proj_weight"].T + state[f"{own}self_attn.in_proj_bias"]
        )
        q, k, v = (joint[:, i * 16 : (i + 1) * 16].reshape(-1, 2, 8) for i in range(3))
        score = np.exp(np.einsum("ahd,bhd->hab", q, k) / np.sqrt(8))
        mixed = np.einsum("hab,bhd->ahd", score / score.sum(-1, keepdims=True), v).reshape(-1, 16)
        x = norm(x + linear(mixed, f"{own}self_attn.out_proj"), f"{own}norm1")
        fed = linear(np.maximum(linear(x, f"{own}linear1"), 0), f"{own}linear2")
        x = norm(x + fed, f"{own}norm2")
    np.testing.assert_allclose(encoder(spot).detach()[0], x[0], atol=2e-5)


def test_an_scgpt_folder_that_does_not_fit_says_how(tmp_path):
    with pytest.raises(VortexError, match=r"args\.json is not there"):
        load_scgpt(tmp_path)
    with pytest.raises(VortexError, match="does not match its args"):
        load_scgpt(scgpt_folder(tmp_path, nlayers=3))
    with pytest.raises(VortexError, match=r"encoder\.enc_norm\.bias is \(16,\).*\(32,\)"):
        load_scgpt(scgpt_folder(tmp_path, embsize=32))
    with pytest.raises(VortexError, match="input_emb_style is 'category'"):
        load_scgpt(scgpt_folder(tmp_path, input_emb_style="category"))
    scgpt_folder(tmp_path)
    torch.save({"evil": print}, tmp_path / "best_model.pt")
    with pytest.raises(VortexError, match="cannot be loaded safely"):
        load_scgpt(tmp_path)


# -- the whole -----------------------------------------------------------------------------------

EVERY = [
    {},
    {"path": "slices", "patch": [1, 4, 4], "tokens": [4, 3, 3], "slice_depth": 1},
    {"likelihood": "negative-binomial", "registers": 2},
    {"align": False},
]


@pytest.mark.parametrize("changes", EVERY, ids=["volume", "slices", "counts", "regression"])
def test_gradients_reach_every_parameter(changes):
    model, (volume, centres, targets, z_um) = made(tiny(**changes))
    output, losses = model(volume, centres, targets, z_um)
    assert output.factors.shape == (8, 5)
    named = {k: v for k, v in losses.items() if k != "total"}
    assert float(losses["total"].detach()) == pytest.approx(float(sum(named.values()).detach()))
    losses["total"].backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert dead == []


@pytest.mark.parametrize("path", [EVERY[0], EVERY[1]], ids=["volume", "slices"])
def test_a_tiny_model_overfits_a_tiny_batch(path):
    model, batch = made(tiny(**path))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(80):
        _, losses = model(*batch)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
    final = {name: float(loss.detach()) for name, loss in losses.items()}
    assert final["regression"] < 0.05
    assert final["alignment"] < 0.4
    assert final["reconstruction"] < 0.7
    model.eval()
    with torch.no_grad():
        tokens = model.morphology(batch[0], batch[3])
        bank = model.embed_expression(batch[2].sentences)
        found = decoders.retrieve(
            model.at(tokens, batch[1]).embedding, bank, batch[2].scores, 1, 0.05
        )
    torch.testing.assert_close(found, batch[2].scores)


def test_every_place_at_once_is_each_place_alone():
    model, (volume, *_) = made(tiny())
    model.eval()
    tokens = model.morphology(volume[:1])
    everywhere = poolers.everywhere(tokens)
    together = model.at(tokens, everywhere).factors
    assert together.shape == (2 * 3 * 3, 5)
    torch.testing.assert_close(model.at(tokens, everywhere[7:8]).factors[0], together[7])


def test_masked_patches_are_learned_and_unmasked_ones_not_scored():
    config = tiny()
    autoencoder = MaskedAutoencoder(ViT3D.of(config), hidden=0.5, width=16, depth=1, heads=2)
    volume = torch.randn(2, 2, 8, 12, 12)
    noise = torch.rand(2, 18)
    loss = autoencoder(volume, noise)
    loss.backward()
    dead = [n for n, p in autoencoder.named_parameters() if p.grad is None]
    assert dead == []
    shown = noise.argsort(1).argsort(1) < 9
    tokens = patches(volume, (4, 4, 4))
    assert tokens.shape == (2, 18, 2 * 64)
    torch.testing.assert_close(tokens[0, 4, :4], volume[0, 0, 0, 4, 4:8])
    with torch.no_grad():
        first = float(autoencoder(volume, noise))
        assert first == pytest.approx(float(loss.detach()), rel=1e-5)
        hidden_patch = int((~shown[0]).nonzero()[0])
        z, y, x = np.unravel_index(hidden_patch, (2, 3, 3))
        other = volume.clone()
        other[0, :, 4 * z : 4 * z + 4, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 10.0
        assert float(autoencoder(other, noise)) > first + 1.0


def test_weights_and_configuration_survive_the_disk(tmp_path):
    model, batch = made(tiny(**EVERY[1]))
    place = write_weights(tmp_path / "w", model.state_dict(), {"config": model.config.to_json()})
    state, record = read_weights(place)
    again = VortexModel(NetworkConfig.from_json(record["config"]), vocabulary=Vocabulary.of(GENES))
    load_into(again, state, str(place))
    model.eval(), again.eval()
    assert torch.equal(again(*batch)[0].factors, model(*batch)[0].factors)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.json", "w.safetensors"]


def test_damaged_or_mismatched_weights_are_refused(tmp_path):
    place = write_weights(tmp_path / "w", {"a": torch.zeros(3)}, {})
    with pytest.raises(VortexError, match="do not fit"):
        load_into(torch.nn.Linear(1, 1), read_weights(place)[0], "w")
    write_weights(tmp_path / "v", {"a": torch.ones(3)}, {})
    (tmp_path / "v.safetensors").replace(place)
    with pytest.raises(VortexError, match="do not belong together"):
        read_weights(place)
    place.write_bytes(b"nothing")
    with pytest.raises(VortexError, match="cannot be read"):
        read_weights(place)
    with pytest.raises(VortexError, match="is not there"):
        read_weights(tmp_path / "none")


def test_settings_are_checked():
    assert NetworkConfig.of("base").width == 768
    config = tiny(weights={"alignment": 0.5})
    assert NetworkConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.weight("alignment") == 0.5 and config.weight("regression") == 1.0
    for wrong in ({"width": 33}, {"window": [2, 3, 3]}, {"path": "slices"}, {"rank": 0}):
        with pytest.raises(VortexError):
            tiny(**wrong)
    with pytest.raises(UnknownNameError, match="dept"):
        tiny(dept=3)
    with pytest.raises(UnknownNameError, match="huge"):
        NetworkConfig.of("huge")
