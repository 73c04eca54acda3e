"""Make the weights of the encoder `pretrained`, which ship in assets/weights.

    .venv/bin/python model/recipes/box.py STUDIES OUT.safetensors [--pairs N] [--fields N]

STUDIES is a folder of studies (`*.zarr`), or of folders of them: each folder is a group, and so is
each study that lies in STUDIES itself. A batch of views is of one group, and every group is drawn
equally often; nothing but morphology is read. The weights that ship saw, besides 16 phantoms of
`tests/bench/claims.py` (a folder for each style), the images of docs/examples/her2st.yaml,
tumor_lsfm.yaml and mouse_brain.yaml: see model/MODEL_CARD.md.
"""

# ruff: noqa: T201 -- tells what it is at

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from vortex_model.encoders.layout import plan
from vortex_model.encoders.pretrained import PretrainedEncoder, PretrainedEncoding
from vortex_model.networks import neighbours
from vortex_model.networks.weights import write_weights
from vortex_model.study import Study

JITTER = 0.3


def fields_of(path: Path, most: int) -> np.ndarray:
    """Fields of one study, (places, 2, 2, y, x)."""
    study = Study.open(path)
    layout = plan(study.morphology, _Untaught(), study.serial, None, [])
    return layout.encoding.fields(most, neighbours.field_pixels())


class _Untaught:
    """The encoder before there are weights."""

    name, code = PretrainedEncoder.name, PretrainedEncoder.code
    spacing_um, parameters = PretrainedEncoder.spacing_um, {}
    prepare = staticmethod(PretrainedEncoding)


def main() -> None:
    """Read fields, teach, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--fields", type=int, default=1200)
    options = parser.parse_args()
    places = sorted(p for p in options.studies.iterdir() if p.is_dir())
    groups = {p.stem: [p] if p.suffix == ".zarr" else sorted(p.glob("*.zarr")) for p in places}
    found: dict[str, list[np.ndarray]] = {}
    for name, studies in groups.items():
        found[name] = [fields_of(s, options.fields // len(studies)) for s in studies]
        print(f"{name}: {sum(map(len, found[name]))} fields", flush=True)
    side = min(f.shape[-1] for some in found.values() for f in some)
    fields = np.concatenate([f[..., :side, :side] for some in found.values() for f in some])
    numbers = np.repeat(np.arange(len(found)), [sum(map(len, some)) for some in found.values()])
    lesson = neighbours.Lesson(
        fields, JITTER * neighbours.VIEW, options.pairs, seed=0, groups=numbers
    )
    weights = neighbours.learn(lesson, lambda part, text: print(f"{part:.3f} {text}", flush=True))
    state = {name: torch.from_numpy(np.asarray(value)).half() for name, value in weights.items()}
    for name in ("input.mean", "input.deviation"):
        state[name] = state[name].float()
    record = {
        "kind": "neighbours",
        "made_by": "model/recipes/box.py",
        "pairs": options.pairs,
        "groups": {name: sum(map(len, some)) for name, some in found.items()},
        "side": side,
        "studies": {n: [Study.open(s).morphology.content for s in v] for n, v in groups.items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(write_weights(options.out, state, record))


if __name__ == "__main__":
    main()
