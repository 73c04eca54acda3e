"""What the tests of mishaps share."""

import pytest


@pytest.fixture
def small_parts(monkeypatch):
    """The encoder asks for small blocks, so that a small study has many parts."""
    from vortex_model.encoders.texture import TextureEncoding

    before = TextureEncoding.__init__

    def init(self, subject):
        before(self, subject)
        self.block_voxels = (1 if subject.planar else 48, 48, 48)

    monkeypatch.setattr(TextureEncoding, "__init__", init)
