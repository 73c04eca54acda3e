"""What leaves the viewer: a folder that any static host serves."""

from vortex_viewer.export.plan import Part, SizeReport, plan_site
from vortex_viewer.export.site import export_site

__all__ = ["Part", "SizeReport", "export_site", "plan_site"]
