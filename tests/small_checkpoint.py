"""Small checkpoints of pathology encoders, their weights named as the published ones are."""

import json

from vortex_model.encoders.catalogue import KNOWN

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 32}


def made(name, **changes):
    """timm's model of a row, smaller where ``changes`` say so, with weights unlike the initial."""
    import torch

    from vortex_model.encoders.known import _with_layers
    from vortex_model.encoders.timm_weights import make
    from vortex_model.torchvision_shim import import_torchvision

    import_torchvision()

    row = KNOWN[name]
    model = make(row.architecture, _with_layers({**row.arguments, **changes}))
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def small(name, folder, prefix="", extra=None, file="model.safetensors", **changes):
    """A checkpoint of a row with fewer and narrower blocks, names as published; and the model."""
    import torch
    from safetensors.torch import save_file

    changes = {**SMALL, **changes}
    model = made(name, **changes)
    state = {prefix + k: v.contiguous() for k, v in model.state_dict().items()} | (extra or {})
    folder.mkdir(parents=True, exist_ok=True)
    if file.endswith(".safetensors"):
        save_file(state, folder / file)
    else:
        torch.save(state, folder / file)
    config = {"architecture": KNOWN[name].architecture, "model_args": changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder, model
