"""The encoders by name: what there is, what works here, and what it takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from vortex_model.encoders.base import Encoder
from vortex_model.encoders.catalogue import KNOWN, Known
from vortex_model.encoders.settings import remembered
from vortex_model.encoders.texture import CoarseEncoder, TextureEncoder
from vortex_model.errors import UnknownNameError, VortexError

LEARNED = "learned"
PRETRAINED = "pretrained"
TIMM = "timm:"
VORTEX = "vortex:"


@dataclass(frozen=True)
class EncoderRow:
    """One line of the list of encoders.

    Attributes
    ----------
    name
        What :func:`create` takes.
    usable
        Whether it works as it is, without options.
    why
        What it needs where it is not.
    licence
        Licence of its weights.
    gate
        Whether its weights are handed out on request only.
    input_size
        Side of its input in pixels; None where any will do.
    um_per_pixel
        Micrometres a pixel that it wants, of stained sections.
    title
        What its authors call it.
    mean, std
        Normalisation of RGB in 0..1; none where it is the checkpoint's own.
    width, embedding
        Length of a token, and of what ``pooling`` makes of a tile.
    pooling
        How its card makes one vector of a tile.
    page
        Where its weights are.
    tunable
        Whether full fine-tuning can tune it.
    """

    name: str
    usable: bool
    why: str
    licence: str
    gate: bool
    input_size: int | None
    um_per_pixel: float
    title: str = ""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    width: int | None = None
    embedding: int | None = None
    pooling: str = ""
    page: str = ""
    tunable: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


def available() -> list[EncoderRow]:
    """All encoders known by name, the one that always works first."""
    texture = EncoderRow(
        TextureEncoder.name, True, "", "BSD-3-Clause", False, None, TextureEncoder.brightfield_um
    )
    title = "a first look in a fraction of the time: texture of coarser voxels, onto wider tokens"
    um = CoarseEncoder.spacing_um
    coarse = EncoderRow(CoarseEncoder.name, True, "", "BSD-3-Clause", False, None, um, title)
    known = [_known(row) for row in KNOWN.values()]
    return [texture, _pretrained(), _learned(), coarse, *known, _any_timm(), _any_vortex()]


def create(name: str, **options: Any) -> Encoder:
    """An encoder, ready to be prepared for a study.

    Parameters
    ----------
    name
        ``texture``; ``pretrained``; ``learned``; ``coarse``; a name of the catalogue, such as
        ``uni``; ``timm:NAME`` with timm's name of a vision transformer or ``hf-hub:OWNER/NAME``;
        ``vortex:PATH`` with weights that ``vortex-viewer pretrain`` wrote.
    options
        ``texture`` and ``coarse`` take none; for the others see
        :class:`~vortex_model.encoders.pretrained.PretrainedEncoder`,
        :class:`~vortex_model.encoders.learned.LearnedEncoder`,
        :class:`~vortex_model.encoders.known.KnownEncoder`,
        :class:`~vortex_model.encoders.timm_vit.TimmEncoder` and
        :class:`~vortex_model.encoders.vortex3d.VortexEncoder`. Where no ``checkpoint`` is given,
        the remembered one is taken.

    Raises
    ------
    UnknownNameError
        When there is no such encoder.
    VortexError
        When an option is unknown or makes no sense, or weights are missing.
    """
    plain = {made.name: made for made in (TextureEncoder, CoarseEncoder)}.get(name)
    if plain is not None:
        if options:
            raise VortexError(f"The encoder {name} takes no options, not {', '.join(options)}.")
        return plain()
    if name == LEARNED:
        # Here, not above: a study can be shown and the texture encoder run without torch.
        from vortex_model.encoders.learned import OPTIONS as OPTIONS_LEARNED
        from vortex_model.encoders.learned import LearnedEncoder

        unknown = [o for o in options if o not in OPTIONS_LEARNED]
        if unknown:
            raise UnknownNameError("option of the encoder learned", unknown[0], OPTIONS_LEARNED)
        return LearnedEncoder(**options)
    if name == PRETRAINED:
        from vortex_model.encoders.pretrained import PretrainedEncoder

        if options:
            raise VortexError(f"The encoder {name} takes no options, not {', '.join(options)}.")
        return PretrainedEncoder()
    if name in KNOWN:
        from vortex_model.encoders.known import OPTIONS as OPTIONS_KNOWN
        from vortex_model.encoders.known import KnownEncoder

        unknown = [o for o in options if o not in OPTIONS_KNOWN]
        if unknown:
            raise UnknownNameError(f"option of {name}", unknown[0], OPTIONS_KNOWN)
        return KnownEncoder(KNOWN[name], **options)
    if name.startswith(TIMM) and name != TIMM:
        from vortex_model.encoders.timm_vit import OPTIONS, TimmEncoder

        unknown = [o for o in options if o not in OPTIONS]
        if unknown:
            raise UnknownNameError("option of a timm encoder", unknown[0], OPTIONS)
        if options.get("checkpoint") is None and not options.get("download"):
            options["checkpoint"] = remembered(name)
        return TimmEncoder(name.removeprefix(TIMM), **options)
    if name.startswith(VORTEX) and name != VORTEX:
        from vortex_model.encoders.vortex3d import OPTIONS as OPTIONS_3D
        from vortex_model.encoders.vortex3d import VortexEncoder

        unknown = [o for o in options if o not in OPTIONS_3D]
        if unknown:
            raise UnknownNameError("option of a vortex encoder", unknown[0], OPTIONS_3D)
        return VortexEncoder(name.removeprefix(VORTEX), **options)
    raise UnknownNameError("encoder", name, [row.name for row in available()])


def _pretrained() -> EncoderRow:
    why = "" if find_spec("torch") else "torch not installed"
    title = "texture, and a small network that comes with the program (model/MODEL_CARD.md)"
    um = TextureEncoder.brightfield_um
    return EncoderRow(PRETRAINED, not why, why, "BSD-3-Clause", False, None, um, title)


def _learned() -> EncoderRow:
    why = "" if find_spec("torch") else "torch not installed"
    title = "texture, and what a small network learns from the block itself in some minutes"
    um = TextureEncoder.brightfield_um
    return EncoderRow(LEARNED, not why, why, "BSD-3-Clause", False, None, um, title)


def _known(row: Known) -> EncoderRow:
    missing = [m for m in ("torch", "timm", "huggingface_hub") if find_spec(m) is None]
    why = f"{' and '.join(missing)} not installed" if missing else ""
    if not why and not _has_weights(row):
        from vortex_model.encoders.access import how_to_get

        why = how_to_get(row)
    return EncoderRow(
        row.name,
        not why,
        why,
        row.licence,
        row.gated,
        row.input_size,
        row.um_per_pixel,
        row.title,
        row.mean,
        row.std,
        row.width,
        row.embedding,
        row.pooling,
        row.page,
        tunable=True,
    )


def _has_weights(row: Known) -> bool:
    from vortex_model.encoders.access import fetched

    place = remembered(row.name)
    return (place is not None and place.exists()) or fetched(row) is not None


def _any_timm() -> EncoderRow:
    missing = [m for m in ("torch", "timm") if find_spec(m) is None]
    why = (
        f"{' and '.join(missing)} not installed"
        if missing
        else "needs weights: checkpoint=FILE, or download=True"
    )
    return EncoderRow("timm:NAME", False, why, "the model's own", False, None, 0.5)


def _any_vortex() -> EncoderRow:
    missing = [m for m in ("torch", "timm") if find_spec(m) is None]
    why = (
        f"{' and '.join(missing)} not installed"
        if missing
        else "needs weights: PATH of what 'vortex-viewer pretrain' wrote"
    )
    return EncoderRow("vortex:PATH", False, why, "the weights' own", False, None, 4.0)
