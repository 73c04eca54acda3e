"""PyVista: volume, slices, sections, camera; the pictures that a view is made of."""
