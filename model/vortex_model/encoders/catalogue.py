"""The pathology encoders that are known by name: what each is, wants, and may be used for.

Facts are those of the model cards, read in November 2026 through the cards themselves and through
the loaders of TRIDENT, LazySlide and eva, which agree; the numbers of weights that timm makes from
``architecture`` and ``arguments`` are those of the papers (a test counts them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Pooling = Literal["class", "class and mean", "attention"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BIOPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
LUNIT = ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))
PACKED_SWIGLU: Mapping[str, Any] = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}


@dataclass(frozen=True)
class Known:
    """One pathology encoder.

    Attributes
    ----------
    name
        What :func:`vortex_model.encoders.create` takes.
    title
        What its authors call it.
    licence, gated
        Of its weights, and whether they are handed out on request only.
    hub
        Where its weights are on the Hugging Face hub.
    architecture, arguments
        timm's name of the model and what it is made with; ``mlp_layer`` by its name in
        ``timm.layers``.
    input_size, um_per_pixel
        Side of an input in pixels, and micrometres a pixel, that it was trained on.
    mean, std
        Normalisation of RGB in 0..1.
    width
        Length of a patch token.
    embedding
        Length of what ``pooling`` makes of a tile.
    pooling
        How its card makes one vector of a tile: the class token; that and the mean of the patch
        tokens; or an attentional pooler of its own.
    tower
        Where the vision transformer begins in the checkpoint's names: ``""`` for a plain one.
    weights_millions
        Millions of weights, the pooler's not counted.
    """

    name: str
    title: str
    licence: str
    gated: bool
    hub: str
    architecture: str
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    width: int
    embedding: int
    weights_millions: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pooling: Pooling = "class"
    um_per_pixel: float = 0.5
    tower: tuple[str, ...] = ("",)

    @property
    def page(self) -> str:
        """Address of the model card."""
        return f"https://huggingface.co/{self.hub}"


_ROWS = (
    Known(
        "uni",
        "UNI",
        "CC-BY-NC-ND-4.0",
        True,
        "MahmoodLab/UNI",
        "vit_large_patch16_224",
        224,
        *IMAGENET,
        1024,
        1024,
        303.4,
        {"img_size": 224, "init_values": 1e-5},
    ),
    Known(
        "uni2-h",
        "UNI2-h",
        "CC-BY-NC-ND-4.0",
        True,
        "MahmoodLab/UNI2-h",
        "vit_giant_patch14_224",
        224,
        *IMAGENET,
        1536,
        1536,
        681.4,
        {
            "img_size": 224,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "init_values": 1e-5,
            "no_embed_class": True,
            "reg_tokens": 8,
            **PACKED_SWIGLU,
        },
    ),
    Known(
        "virchow2",
        "Virchow2",
        "CC-BY-NC-ND-4.0",
        True,
        "paige-ai/Virchow2",
        "vit_huge_patch14_224",
        224,
        *IMAGENET,
        1280,
        2560,
        631.2,
        {
            "img_size": 224,
            "init_values": 1e-5,
            "reg_tokens": 4,
            "mlp_ratio": 5.3375,
            "global_pool": "",
            **PACKED_SWIGLU,
        },
        "class and mean",
    ),
    Known(
        "h-optimus-0",
        "H-optimus-0",
        "Apache-2.0",
        True,
        "bioptimus/H-optimus-0",
        "vit_giant_patch14_reg4_dinov2",
        224,
        *BIOPTIMUS,
        1536,
        1536,
        1134.8,
        {"img_size": 224, "init_values": 1e-5, "global_pool": "token"},
    ),
    Known(
        "prov-gigapath",
        "Prov-GigaPath, tile encoder",
        "Apache-2.0, research use",
        True,
        "prov-gigapath/prov-gigapath",
        "vit_giant_patch14_dinov2",
        224,
        *IMAGENET,
        1536,
        1536,
        1135.0,
        {
            "img_size": 224,
            "patch_size": 16,
            "embed_dim": 1536,
            "depth": 40,
            "num_heads": 24,
            "mlp_ratio": 5.33334,
        },
    ),
    Known(
        "kaiko-vits16",
        "Kaiko ViT-S/16",
        "Kaiko non-commercial",
        False,
        "1aurent/vit_small_patch16_224.kaiko_ai_towards_large_pathology_fms",
        "vit_small_patch16_224",
        224,
        *HALF,
        384,
        384,
        21.7,
        {"img_size": 224},
    ),
    Known(
        "kaiko-vitb16",
        "Kaiko ViT-B/16",
        "Kaiko non-commercial",
        False,
        "1aurent/vit_base_patch16_224.kaiko_ai_towards_large_pathology_fms",
        "vit_base_patch16_224",
        224,
        *HALF,
        768,
        768,
        85.8,
        {"img_size": 224},
    ),
    Known(
        "lunit-vits16",
        "Lunit DINO ViT-S/16",
        "Lunit non-commercial",
        False,
        "1aurent/vit_small_patch16_224.lunit_dino",
        "vit_small_patch16_224",
        224,
        *LUNIT,
        384,
        384,
        21.7,
        {"img_size": 224},
    ),
    Known(
        "conch",
        "CONCH",
        "CC-BY-NC-ND-4.0",
        True,
        "MahmoodLab/CONCH",
        "vit_base_patch16_224",
        448,
        *CLIP,
        768,
        512,
        86.3,
        {"img_size": 448},
        "attention",
        tower=("visual.trunk.", "trunk."),
    ),
    Known(
        "conch-v1.5",
        "CONCH v1.5",
        "CC-BY-NC-ND-4.0",
        True,
        "MahmoodLab/conchv1_5",
        "vit_large_patch16_224",
        448,
        *IMAGENET,
        1024,
        768,
        304.0,
        {"img_size": 448, "init_values": 1.0},
        "attention",
        tower=("trunk.", "visual.trunk."),
    ),
)

KNOWN: Mapping[str, Known] = {row.name: row for row in _ROWS}
"""Name -> what is known of it."""
