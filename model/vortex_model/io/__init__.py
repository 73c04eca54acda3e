"""Manifest in, study out; one file a family of formats."""

from vortex_model.io.importing import check, import_study

__all__ = ["check", "import_study"]
