"""What stands in one visitor's 3D view: VTK objects, touched by the render thread alone."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    # without a display VTK would try X first, and complain
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import pyvista as pv
from PIL import Image as Pillow
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPiecewiseFunction
from vtkmodules.vtkRenderingCore import vtkTexture, vtkVolume, vtkVolumeProperty
from vtkmodules.vtkRenderingVolumeOpenGL2 import vtkOpenGLGPUVolumeRayCastMapper

from vortex_model.grid import Grid
from vortex_viewer.scene.agreed import (
    AXIS_COLOURS,
    BACKGROUND,
    OBLIQUE_COLOUR,
    UNITS_ACROSS,
    apart_um,
    ring_of,
    spots_seen,
)
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.surfaces import Surface
from vortex_viewer.state import Camera

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One rendered picture."""

    jpeg: bytes
    um_per_pixel: float
    still: bool


class Stage:
    """The 3D scene of one visitor.

    z is multiplied by ``depth`` in everything that is drawn.
    """

    def __init__(self) -> None:
        self.plotter = pv.Plotter(off_screen=True, window_size=[640, 480], lighting="none")
        self.plotter.set_background(BACKGROUND)
        self.renderer = self.plotter.renderer
        self.window = self.plotter.render_window
        self.window.SetMultiSamples(0)
        self._camera = self.renderer.GetActiveCamera()
        self._camera.ParallelProjectionOn()
        self._depth = 1.0
        self._volume: vtkVolume | None = None
        self._mapper: vtkOpenGLGPUVolumeRayCastMapper | None = None
        self._kept: Any = None
        self._sheets: list[Any] = []
        self._spots: tuple[Any, Any, Any] | None = None
        self._sheet_depth = 1.0
        self._towards = 0
        self._box: tuple[Box, float] | None = None
        self._crop: Box | None = None
        self._surfaces: dict[str, Any] = {}
        self._maximum = False
        self._pixels = vtkUnsignedCharArray()
        self._size = (640, 480)
        self._step_um = 1.0
        self.bare = False
        """Whether labels stand here in place of morphology and expression."""

    def close(self) -> None:
        """Give back what the graphics driver holds."""
        self.clear()
        self.plotter.close()

    def clear(self) -> None:
        """Empty the scene, for another study."""
        names = ("volume", "box", "plane x", "plane y", "plane z", "plane oblique", "spots")
        for name in names:
            self.plotter.remove_actor(name, render=False)
        for name in [n for n in self.renderer.actors if n.startswith("mark ")]:
            self.plotter.remove_actor(name, render=False)
        self.set_surfaces(())
        if self._volume is not None:
            self.renderer.RemoveVolume(self._volume)
            self._volume.ReleaseGraphicsResources(self.window)
        self._volume = self._mapper = self._kept = None
        for actor, *_ in self._sheets:
            self.renderer.RemoveActor(actor)
        self._sheets = []
        self._spots = None
        self.renderer.SetUseOIT(True)

    def set_depth(self, depth: float) -> None:
        """How far z is stretched; set what stands in the scene again after it."""
        self._depth = depth

    # -- what is shown ---------------------------------------------------------------------

    def set_box(self, box: Box) -> None:
        """The edges of the block."""
        d = self._depth
        if "box" in self.renderer.actors and self._box == (box, d):
            return
        self._box = box, d
        (x0, x1), (y0, y1), (z0, z1) = box
        mesh = pv.Box((x0, x1, y0, y1, z0 * d, z1 * d)).extract_all_edges()
        self.plotter.add_mesh(
            mesh,
            color="#39414f",
            line_width=1,
            lighting=False,
            name="box",
            reset_camera=False,
            render=False,
        )

    def set_volume(
        self, rgba: npt.NDArray[np.uint32], grid: Grid, block: Grid | None = None
    ) -> None:
        """Packed RGBA (z, y, x) as the volume; the same grid again only swaps the voxels.

        ``block`` is the whole that it may be a part of.
        """
        packed = rgba.view(np.uint8).reshape(-1, 4)
        scalars = numpy_to_vtk(packed)
        scalars.SetName("rgba")
        # VTK reads this function at low + alpha * (high - low) / 255, where low and high are the
        # least and the most alpha that there is: without this a voxel would be as dense as the
        # densest one lets it.
        low, high = float(packed[:, 3].min()), float(packed[:, 3].max())
        opacity = vtkPiecewiseFunction()
        opacity.AddPoint(low, 0.0 if high > low else low / 255.0)
        opacity.AddPoint(max(high, low + 1.0), 1.0)
        if (
            self._volume is not None
            and self._kept is not None
            and self._kept[1:3] == (grid, self._depth)
        ):
            image = self._kept[3]
            image.GetPointData().SetScalars(scalars)
            image.Modified()
            self._volume.GetProperty().SetScalarOpacity(opacity)
            self._kept = (rgba, grid, self._depth, image)
            return
        if self._volume is not None:
            self.renderer.RemoveVolume(self._volume)
        d = self._depth
        z, y, x = grid.spacing_um
        oz, oy, ox = grid.origin_um
        image = vtkImageData()
        image.SetDimensions(*grid.shape[::-1])
        image.SetSpacing(x, y, z * d)
        image.SetOrigin(ox, oy, oz * d)
        image.GetPointData().SetScalars(scalars)
        look = vtkVolumeProperty()
        look.IndependentComponentsOff()
        look.SetInterpolationTypeToLinear()
        look.SetScalarOpacity(opacity)
        look.ShadeOff()
        # of the component that opacity is read from: alpha
        deep, high, wide = (block or grid).extent_um
        extent = max(wide, high, deep * d)
        look.SetScalarOpacityUnitDistance(3, extent / UNITS_ACROSS)
        mapper = vtkOpenGLGPUVolumeRayCastMapper()
        mapper.SetInputData(image)
        mapper.SetBlendModeToComposite()
        mapper.AutoAdjustSampleDistancesOff()
        mapper.UseJitteringOn()
        self._step_um = min(x, y, z * d)
        volume = vtkVolume()
        volume.SetMapper(mapper)
        volume.SetProperty(look)
        self.renderer.AddVolume(volume)
        self._volume, self._mapper, self._kept = volume, mapper, (rgba, grid, self._depth, image)
        self.set_crop(self._crop)
        self.set_maximum(self._maximum)

    def set_sheets(self, sheets: list[tuple[Grid, Bytes]], depth: float) -> None:
        """Planes of a stack: each one's grid and RGBA (y, x, 4)."""
        # VTK mixes what is translucent without order; these are drawn from far to near
        self.renderer.SetUseOIT(False)
        if len(sheets) != len(self._sheets) or depth != self._sheet_depth:
            self._sheet_depth = depth
            for actor, *_ in self._sheets:
                self.renderer.RemoveActor(actor)
            self._sheets = []
            for grid, _ in sheets:
                _, (y0, y1), (x0, x1) = grid.bounds_um
                z = grid.origin_um[0] * self._depth
                quad = pv.Plane(
                    center=((x0 + x1) / 2, (y0 + y1) / 2, z),
                    direction=(0, 0, 1),
                    i_size=x1 - x0,
                    j_size=y1 - y0,
                    i_resolution=1,
                    j_resolution=1,
                )
                texture = vtkTexture()
                texture.InterpolateOn()
                texture.MipmapOn()
                actor = pv.Actor(mapper=pv.DataSetMapper(quad))
                actor.prop.lighting = False
                actor.prop.color = "white"
                actor.SetTexture(texture)
                actor.ForceTranslucentOn()
                self.renderer.AddActor(actor)
                self._sheets.append((actor, texture, grid))
            if self._spots is not None:
                self.set_spots(*self._spots)  # they lie beside the planes
        self._sheets.sort(key=lambda sheet: sheet[2].origin_um[0])
        self._towards = 0
        for (_, texture, _), (_, rgba) in zip(self._sheets, sheets, strict=True):
            height, width = rgba.shape[:2]
            image = vtkImageData()
            image.SetDimensions(width, height, 1)
            scalars = numpy_to_vtk(np.ascontiguousarray(rgba).reshape(-1, 4), deep=1)
            image.GetPointData().SetScalars(scalars)
            texture.SetInputData(image)
            texture.SetColorModeToDirectScalars()
            texture.Modified()
        self.set_crop(self._crop)

    def set_spots(
        self, points_um: npt.NDArray[Any], colours: Bytes, diameter_um: npt.NDArray[Any]
    ) -> None:
        """Measured spots as discs in their plane, coloured (n, 3); none removes them."""
        self.plotter.remove_actor("spots", render=False)
        self._spots = points_um, colours, diameter_um
        wide = [float(grid.extent_um[2]) for *_, grid in self._sheets]
        which, points = spots_seen(
            points_um, self._crop, self._step_um, apart_um(wide, self._depth)
        )
        if not len(which):
            return
        points = points * (1.0, 1.0, self._depth)
        sides = 14 if len(points) < 20_000 else 4
        turn = np.linspace(0, 2 * np.pi, sides, endpoint=False) + np.pi / sides
        ring = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn])
        radius = diameter_um[which][:, None, None] / 2
        corners = (points[:, None, :] + ring[None] * radius).reshape(-1, 3)
        faces = np.empty((len(points), sides + 1), np.int64)
        faces[:, 0] = sides
        faces[:, 1:] = np.arange(len(corners)).reshape(len(points), sides)
        mesh = pv.PolyData(corners, faces.ravel())
        mesh.cell_data["colour"] = colours[which]
        self.plotter.add_mesh(
            mesh,
            scalars="colour",
            rgb=True,
            lighting=False,
            name="spots",
            show_edges=False,
            reset_camera=False,
            render=False,
        )

    def set_surfaces(self, surfaces: Sequence[Surface]) -> None:
        """Where genes reach a value; none removes them."""
        for name in self._surfaces:
            self.plotter.remove_actor(name, render=False)
        self._surfaces = {}
        for index, one in enumerate(surfaces):
            faces = np.column_stack([np.full(len(one.triangles), 3), one.triangles]).ravel()
            mesh = pv.PolyData(one.points_um * (1.0, 1.0, self._depth), faces)
            mesh.point_data["colour"] = one.colours
            name = f"surface {index}"
            self._surfaces[name] = self.plotter.add_mesh(
                mesh,
                scalars="colour",
                rgb=True,
                lighting=False,
                name=name,
                reset_camera=False,
                render=False,
            )
        self._crop_surfaces()

    def _crop_surfaces(self) -> None:
        for actor in self._surfaces.values():
            actor.mapper.RemoveAllClippingPlanes()
            for axis, span in enumerate(self._crop or ()):
                for place, sign in zip(span, (1.0, -1.0), strict=True):
                    normal, origin = [0.0] * 3, [0.0] * 3
                    normal[axis] = sign
                    origin[axis] = place * (self._depth if axis == 2 else 1.0)
                    actor.mapper.AddClippingPlane(_plane(origin, normal))

    def set_maximum(self, on: bool) -> None:
        """Whether a ray shows its strongest voxel alone."""
        self._maximum = on
        if self._mapper is not None:
            self._mapper.SetBlendMode(1 if on else 0)

    def set_planes(self, box: Box, cursor_um: tuple[float, float, float] | None) -> None:
        """Outlines of the three slices; None removes them."""
        for axis, name in enumerate("xyz"):
            if cursor_um is None:
                self.plotter.remove_actor(f"plane {name}", render=False)
                continue
            ring = ring_of(box, axis, cursor_um[axis])
            self._outline(name, ring, AXIS_COLOURS[name])

    def set_oblique(self, ring: npt.NDArray[np.float64] | None) -> None:
        """Outline of the oblique slice: its corners (n, 3) in order; None removes it."""
        if ring is None or len(ring) < 3:
            self.plotter.remove_actor("plane oblique", render=False)
        else:
            self._outline("oblique", ring, OBLIQUE_COLOUR)

    def _outline(self, name: str, ring: Sequence[Any] | npt.NDArray[Any], colour: str) -> None:
        corners = np.array([*ring, ring[0]]) * (1.0, 1.0, self._depth)
        actor = self.renderer.actors.get(f"plane {name}")
        if actor is not None and actor.mapper.dataset.n_points == len(corners):
            actor.mapper.dataset.points = corners  # a new actor takes ten times as long
            return
        self.plotter.add_mesh(
            pv.lines_from_points(corners),
            color=colour,
            line_width=2,
            lighting=False,
            name=f"plane {name}",
            reset_camera=False,
            render=False,
        )

    def set_crop(self, crop: Box | None) -> None:
        """Show only what lies in these x, y and z ranges, in micrometres."""
        self._crop = crop
        self._crop_surfaces()
        mapper = self._mapper
        if mapper is not None:
            mapper.SetCropping(crop is not None)
            if crop is not None:
                (x0, x1), (y0, y1), (z0, z1) = crop
                mapper.SetCroppingRegionPlanes(x0, x1, y0, y1, z0 * self._depth, z1 * self._depth)
                mapper.SetCroppingRegionFlagsToSubVolume()
        for actor, _, grid in self._sheets:
            z = grid.origin_um[0]
            actor.mapper.RemoveAllClippingPlanes()
            actor.visibility = crop is None or crop[2][0] <= z <= crop[2][1]
            if crop is None:
                continue
            for axis in (0, 1):
                for side, sign in ((0, 1.0), (1, -1.0)):
                    normal, origin = [0.0] * 3, [0.0] * 3
                    normal[axis], origin[axis] = sign, crop[axis][side]
                    actor.mapper.AddClippingPlane(_plane(origin, normal))

    # -- the picture -----------------------------------------------------------------------

    def render(self, camera: Camera, size: tuple[int, int], still: bool) -> Frame:
        """Draw, and encode as JPEG; while something moves, with fewer rays and longer steps."""
        pixels = self.draw(camera, size, still)
        out = io.BytesIO()
        Pillow.fromarray(pixels).save(
            out, "JPEG", quality=92 if still else 72, subsampling=0 if still else 2
        )
        return Frame(out.getvalue(), camera.height_um / size[1], still)

    def draw(self, camera: Camera, size: tuple[int, int], still: bool = True) -> Bytes:
        """The picture's pixels (y, x, rgb) of a size (width, height)."""
        width, height = size
        if size != self._size:
            self.window.SetSize(width, height)
            self._size = size
        self._aim(camera)
        if self._mapper is not None:
            self._mapper.SetImageSampleDistance(1.0 if still else 2.2)
            self._mapper.SetSampleDistance(self._step_um * (1.0 if still else 2.5))
        self.window.Render()
        self.window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, self._pixels)
        pixels = vtk_to_numpy(self._pixels).reshape(height, width, 4)[::-1, :, :3]
        return np.ascontiguousarray(pixels)

    def _sort_sheets(self, nearest_last: float) -> None:
        """Draw translucent planes from the far one to the near one, as glass needs it."""
        towards = 1 if nearest_last >= 0 else -1
        if towards == self._towards:
            return
        self._towards = towards
        self._sheets.sort(key=lambda sheet: towards * sheet[2].origin_um[0])
        for actor, *_ in self._sheets:
            self.renderer.RemoveActor(actor)
            self.renderer.AddActor(actor)

    def _aim(self, camera: Camera) -> None:
        focal = np.asarray(camera.focal) * (1.0, 1.0, self._depth)
        bounds = np.asarray(self.renderer.ComputeVisiblePropBounds()).reshape(3, 2)
        reach = float(np.linalg.norm(np.ptp(bounds, axis=1))) if bounds[0, 0] < bounds[0, 1] else 1
        reach = 2.0 * max(reach, camera.height_um)
        self._sort_sheets(nearest_last=camera.back[2])
        self._camera.SetFocalPoint(*focal)
        self._camera.SetPosition(*(focal + reach * np.asarray(camera.back)))
        self._camera.SetViewUp(*camera.up)
        self._camera.SetParallelScale(camera.height_um / 2)
        self.renderer.ResetCameraClippingRange()


def _plane(origin: list[float], normal: list[float]) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkPlane

    plane = vtkPlane()
    plane.SetOrigin(origin)
    plane.SetNormal(normal)
    return plane
