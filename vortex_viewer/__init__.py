"""A browser app to explore the expression of any gene in 3D beside the morphology."""

__version__ = "0.1.0"
