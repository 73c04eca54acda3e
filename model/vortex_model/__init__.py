"""The headless backend of vortex-viewer: any gene of a tissue block in 3D."""
