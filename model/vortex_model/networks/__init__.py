"""The network: 3D and slice encoders, poolers, expression encoder, decoders, and their assembly."""
