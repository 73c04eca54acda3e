"""The search behind register: two tissue densities, many starting poses, SimpleITK to refine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import fft, ndimage

from vortex_model.errors import VortexError
from vortex_model.progress import Progress, part
from vortex_model.register_result import Displacement, Floats, Plane, Registration
from vortex_model.tissue import clean

Model = Literal["rigid", "affine", "bspline"]

ANGLE_STEP = 10.0
"""Degrees between starting rotations; the rigid search catches about twice that."""
COARSE, MIDDLE, FINE = 48, 112, 224
"""Pixels along the tissue's longer side while screening, choosing and refining."""
CANDIDATES = 6
POOR = 0.3
"""Below this score a registration carries a warning; see docs of :func:`assess`."""
WORTH_BENDING = 0.03
"""How much a B-spline has to raise the score; any bend raises it a little."""
MIRROR_PENALTY = 0.02
"""A mirrored section is rarer than a turned one; it has to match clearly better."""

_ONE_AT_A_TIME = threading.Lock()


def search(pair: Pair, model: Model, mirror: bool, progress: Progress) -> Registration:
    """From every rotation to the best pose, finely."""
    progress(0.0, "screening rotations")
    starts = screen(pair, mirror, part(progress, 0.0, 0.3))
    tried = []
    for number, (_, start) in enumerate(starts):
        progress(0.3 + 0.3 * number / len(starts), f"rigid, start {number + 1} of {len(starts)}")
        found = refine(pair, start, "rigid", MIDDLE)
        tried.append((pair.score(found, MIDDLE) - MIRROR_PENALTY * found.mirrored, number, found))
    tried.sort(key=lambda t: (-t[0], t[1]))
    return finish(pair, tried[0][2], model, progress)


def finish(pair: Pair, start: Registration, model: Model, progress: Progress) -> Registration:
    """Refine at full detail, each step kept only where it raises the score."""
    progress(0.6, "rigid, fine")
    best = start
    best = _better(pair, best, refine(pair, best, "rigid", FINE))
    if model != "rigid":
        progress(0.75, "affine")
        best = _better(pair, best, refine(pair, best, "affine", FINE))
    if model == "bspline":
        progress(0.85, "B-spline")
        bent = _bend(pair, best)
        if bent is not None and pair.score(bent, FINE) > pair.score(best, FINE) + WORTH_BENDING:
            best = bent
    return best


def judged(pair: Pair, registration: Registration) -> Registration:
    """The registration with its score and, where that is poor, a warning."""
    score = pair.score(registration, FINE)
    warning = None
    if score < POOR:
        warning = (
            f"The match is poor (score {score:.2f}; good pairs score above {POOR}). Look at the "
            "overlay; if it is wrong, give landmarks, or check that both show the same tissue."
        )
    return replace(registration, score=score, warning=warning)


class NoTissueError(VortexError):
    """An image that shows nothing to register."""

    def __init__(self, image: str, low: float, high: float) -> None:
        self.image = image
        super().__init__(
            f"The {image} image shows no tissue (density {low:.2g} to {high:.2g} all over). "
            "Check the file and its channel roles."
        )


# -- the two images at several resolutions ----------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """A density on square pixels, cut to its tissue, zero outside it."""

    density: Floats
    mask: npt.NDArray[np.bool_]
    spacing: float
    origin: tuple[float, float]
    """Centre of pixel (0, 0), (x, y)."""

    def image(self) -> sitk.Image:
        made = sitk.GetImageFromArray(np.ascontiguousarray(self.density, dtype=np.float32))
        made.SetSpacing((self.spacing, self.spacing))
        made.SetOrigin(self.origin)
        return made

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        """Centre of mass, (x, y)."""
        y, x = ndimage.center_of_mass(self.density)
        return np.array([x, y], dtype=np.float64) * self.spacing + self.origin

    def points(self) -> npt.NDArray[np.float64]:
        y, x = np.indices(self.density.shape)
        flat = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
        return flat * self.spacing + self.origin


class Pair:
    """Fixed and moving at the resolutions that the steps want."""

    def __init__(self, fixed: Plane, moving: Plane, extent_um: float) -> None:
        self._planes = (fixed, moving)
        self._extent = extent_um
        self._made: dict[int, tuple[_Work, _Work]] = {}

    @classmethod
    def of(cls, fixed: Plane, moving: Plane) -> Pair:
        """Cut both to their tissue."""
        cut, extents = [], []
        for name, plane in (("fixed", fixed), ("moving", moving)):
            tissue = _tissue(_upright(plane), name)
            y, x = (n * s for n, s in zip(tissue.density.shape, tissue.spacing_um, strict=True))
            cut.append(tissue)
            extents.append(max(y, x))
        return cls(cut[0], cut[1], max(extents))

    def at(self, pixels: int) -> tuple[_Work, _Work]:
        """Both images, so many pixels along the longer side."""
        if pixels not in self._made:
            spacing = self._extent / pixels
            fixed, moving = (_square(p, spacing) for p in self._planes)
            self._made[pixels] = (fixed, moving)
        return self._made[pixels]

    def inverted(self) -> Pair:
        """The same pair with the moving tissue's contrast turned over, glass still 0."""
        fixed, moving = self._planes
        top = float(np.percentile(moving.density[moving.density > 0], 98))
        turned = np.where(moving.density > 0, np.maximum(1.2 * top - moving.density, 0.0), 0.0)
        return Pair(fixed, replace(moving, density=turned.astype(np.float32)), self._extent)

    def score(self, registration: Registration, pixels: int) -> float:
        """Dice of the masks times the correlation of structure; see ``register.assess``."""
        fixed, moving = self.at(pixels)
        place = (registration.inverse(fixed.points()) - moving.origin) / moving.spacing
        coords = place[:, ::-1].T.reshape(2, *fixed.density.shape)
        there = ndimage.map_coordinates(moving.density, coords, order=1)
        mask = ndimage.map_coordinates(moving.mask.astype(np.float32), coords, order=1) > 0.5
        both = mask & fixed.mask
        pixel = abs(np.linalg.det(registration.matrix[:2, :2])) * moving.spacing**2
        areas = fixed.mask.sum() * fixed.spacing**2 + moving.mask.sum() * pixel
        dice = 2 * both.sum() * fixed.spacing**2 / areas
        seen = (_structure(image, both, pixels) for image in (fixed.density, there))
        match = _correlation(*(image[both] for image in seen))
        return float(np.clip(dice * (-match if registration.inverted else match), 0.0, 1.0))


def _structure(density: Floats, mask: npt.NDArray[np.bool_], pixels: int) -> Floats:
    """Density between 1/64 and 1/13 of the tissue's size, within the mask.

    Finer, sections of different cells do not agree; coarser, any two pieces of tissue may.
    """
    means = []
    for sigma in (pixels / 64, pixels / 12.8):
        weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
        total = ndimage.gaussian_filter(np.where(mask, density, 0.0), sigma)
        means.append(total / np.maximum(weight, 1e-3))
    return np.asarray(means[0] - means[1], dtype=np.float32)


def _correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    if a.size < 16:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _upright(plane: Plane) -> Plane:
    """Dense tissue bright: a frame whose rim is bright and whose middle is dark is turned over."""
    d = plane.density
    rim = np.concatenate([d[0], d[-1], d[:, 0], d[:, -1]])
    if np.median(rim) > 0.5 and np.percentile(d, 1) < np.median(rim) - 0.3:
        return replace(plane, density=np.clip(1.0 - d, 0.0, 1.0).astype(np.float32))
    return plane


def _tissue(plane: Plane, name: str) -> Plane:
    """Cut to the tissue, with a margin; what is outside it is zero."""
    mask = _mask(plane)
    if not mask.any():
        raise NoTissueError(name, float(plane.density.min()), float(plane.density.max()))
    y, x = np.nonzero(mask)
    y0, y1, x0, x1 = y.min(), y.max() + 1, x.min(), x.max() + 1
    cut = np.where(mask, plane.density, 0.0)[y0:y1, x0:x1].astype(np.float32)
    sy, sx = plane.spacing_um
    oy, ox = plane.origin_um
    return Plane(cut, (sy, sx), (oy + y0 * sy, ox + x0 * sx))


def _mask(plane: Plane) -> npt.NDArray[np.bool_]:
    extent = max(n * s for n, s in zip(plane.density.shape, plane.spacing_um, strict=True))
    sigma = [max(0.7, extent / 400 / s) for s in plane.spacing_um]
    smooth = ndimage.gaussian_filter(plane.density, sigma)
    top = float(np.percentile(smooth, 99))
    if top <= 0.01:
        return np.zeros(smooth.shape, dtype=bool)
    dense = smooth[smooth > 0.05 * top]
    cut = 0.35 * float(np.median(dense[dense > 0.25 * top]))
    return clean(smooth > cut, plane.spacing_um, hole_um=extent / 20)


def _square(plane: Plane, spacing: float) -> _Work:
    """Block means, then linear interpolation onto square pixels, with an empty rim."""
    mask = (plane.density > 0).astype(np.float32)
    planes = [plane.density, mask]
    steps = [max(1, int(spacing / s)) for s in plane.spacing_um]
    size = [n // k for n, k in zip(plane.density.shape, steps, strict=True)]
    if min(size) >= 1 and max(steps) > 1:
        (ky, kx), (ny, nx) = steps, size
        planes = [p[: ny * ky, : nx * kx].reshape(ny, ky, nx, kx).mean(axis=(1, 3)) for p in planes]
    else:
        steps = [1, 1]
    have = [s * k for s, k in zip(plane.spacing_um, steps, strict=True)]
    start = [
        o + s * (k - 1) / 2
        for o, s, k in zip(plane.origin_um, plane.spacing_um, steps, strict=True)
    ]
    rim = 8
    shape = tuple(
        int(np.ceil(n * s / spacing)) + 2 * rim for n, s in zip(planes[0].shape, have, strict=True)
    )
    origin = [o - rim * spacing for o in start]
    zoom = [spacing / s for s in have]
    shift = [(a - b) / s for a, b, s in zip(origin, start, have, strict=True)]
    made = [
        ndimage.affine_transform(p, zoom, shift, shape, order=1, mode="constant") for p in planes
    ]
    return _Work(
        made[0].astype(np.float32), made[1] > 0.5, spacing, (float(origin[1]), float(origin[0]))
    )


# -- screening ------------------------------------------------------------------------------


def _linear(angle: float, mirrored: bool) -> npt.NDArray[np.float64]:
    """Rotation by ``angle`` degrees after, if mirrored, x -> -x."""
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(matrix @ np.diag([-1.0, 1.0]) if mirrored else matrix, dtype=np.float64)


def _layers(work: _Work) -> list[Floats]:
    """What is correlated: the density itself, and its detail within the tissue."""
    sigma = COARSE / 10
    weight = ndimage.gaussian_filter(work.mask.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(work.density, sigma) / np.maximum(weight, 1e-3)
    detail = np.where(work.mask, work.density - mean, 0.0)
    return [work.density, detail.astype(np.float32)]


def screen(pair: Pair, mirror: bool, progress: Progress) -> list[tuple[float, Registration]]:
    """The best starting poses, with their correlation, over every rotation and every shift."""
    fixed, moving = pair.at(COARSE)
    side = int(np.ceil(np.hypot(*fixed.density.shape) + np.hypot(*moving.density.shape)))
    shape = (fft.next_fast_len(side, real=True),) * 2
    still = [fft.rfft2(layer, shape) for layer in _layers(fixed)]
    norms = [max(float(np.linalg.norm(layer)), 1e-6) for layer in _layers(fixed)]
    size = int(np.ceil(np.hypot(*moving.density.shape))) + 2
    middle = (moving.centre - moving.origin) / moving.spacing
    canvas = np.full(2, (size - 1) / 2)
    layers = _layers(moving)
    found = []
    poses = list(_poses(mirror))
    for number, (angle, mirrored) in enumerate(poses):
        if number % 12 == 0:
            progress(number / len(poses), f"rotation {angle:.0f} degrees")
        back = np.linalg.inv(_linear(angle, mirrored))[::-1, ::-1]  # in (y, x)
        offset = middle[::-1] - back @ canvas
        total = np.zeros(shape, dtype=np.float64)
        for layer, spectrum, norm in zip(layers, still, norms, strict=True):
            turned = ndimage.affine_transform(layer, back, offset, (size, size), order=1)
            scale = norm * max(float(np.linalg.norm(turned)), 1e-6)
            total += fft.irfft2(spectrum * np.conj(fft.rfft2(turned, shape)), shape) / scale
        peak = np.unravel_index(int(total.argmax()), shape)
        shift = np.array([p if p < n - size else p - n for p, n in zip(peak, shape, strict=True)])
        centre = (shift[::-1] + canvas) * fixed.spacing + fixed.origin
        value = float(total[peak]) / len(layers) - MIRROR_PENALTY * mirrored
        found.append((value, angle, mirrored, centre))
    found.sort(key=lambda f: -f[0])
    kept: list[tuple[float, bool]] = []
    starts = []
    for value, angle, mirrored, centre in found:
        near = any(
            m == mirrored and abs((angle - a + 180) % 360 - 180) < 1.5 * ANGLE_STEP for a, m in kept
        )
        if near:
            continue
        kept.append((angle, mirrored))
        linear = _linear(angle, mirrored)
        starts.append((value, Registration.affine(linear, centre - linear @ moving.centre)))
        if len(starts) == CANDIDATES:
            break
    return starts


def _poses(mirror: bool) -> Iterator[tuple[float, bool]]:
    for mirrored in (False, True) if mirror else (False,):
        for angle in np.arange(0.0, 360.0, ANGLE_STEP):
            yield float(angle), mirrored


# -- refining -------------------------------------------------------------------------------


def refine(
    pair: Pair, start: Registration, model: Literal["rigid", "affine"], pixels: int
) -> Registration:
    """SimpleITK's correlation metric from ``start``; the mirror stays outside of the search."""
    fixed, moving = pair.at(pixels)
    flip = np.diag([-1.0, 1.0, 1.0]) if start.mirrored else np.eye(3)
    matrix = start.matrix @ flip  # from the flipped moving image: a proper rotation
    flipped = moving
    if start.mirrored:
        right = moving.origin[0] + (moving.density.shape[1] - 1) * moving.spacing
        flipped = replace(
            moving,
            density=moving.density[:, ::-1],
            mask=moving.mask[:, ::-1],
            origin=(-right, moving.origin[1]),
        )
    back = np.linalg.inv(matrix)
    transform: sitk.Transform
    if model == "rigid":
        transform = sitk.Euler2DTransform()
        transform.SetCenter(tuple(fixed.centre))
        transform.SetAngle(float(np.arctan2(back[1, 0], back[0, 0])))
    else:
        transform = sitk.AffineTransform(2)
        transform.SetCenter(tuple(fixed.centre))
        transform.SetMatrix(back[:2, :2].ravel().tolist())
    linear = np.array(transform.GetMatrix()).reshape(2, 2)
    target = back[:2, :2] @ fixed.centre + back[:2, 2]
    transform.SetTranslation((target - fixed.centre).tolist())
    method = _method(3)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0 * fixed.spacing,
        minStep=0.01 * fixed.spacing,
        numberOfIterations=120,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-9,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    _execute(method, _padded(fixed, 0.15), _padded(flipped, 1.0))
    linear = np.array(transform.GetMatrix()).reshape(2, 2)
    centre = np.array(transform.GetCenter())
    offset = np.array(transform.GetTranslation()) + centre - linear @ centre
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = linear, offset
    return Registration(np.linalg.inv(whole) @ flip)


def _padded(work: _Work, part_of_side: float) -> sitk.Image:
    """With empty glass around, so that sliding off the other image does not pay."""
    pad = [int(part_of_side * max(work.density.shape))] * 2
    return sitk.ConstantPad(work.image(), pad, pad, 0.0)


def _method(levels: int) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([2**k for k in range(levels - 1, -1, -1)])
    method.SetSmoothingSigmasPerLevel([float(2**k - 1) for k in range(levels - 1, -1, -1)])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def _execute(method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image) -> None:
    """Run on one thread: the order of a sum, and so the result, must not hang on the machine.

    The metric obeys only the process-wide number (SimpleITK 2.5), so registrations take turns.
    """
    with _ONE_AT_A_TIME:
        before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        try:
            method.SetNumberOfThreads(1)
            method.Execute(fixed, moving)
        finally:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _better(pair: Pair, old: Registration, new: Registration) -> Registration:
    """The new one where it is sane and no worse."""
    stretch = np.linalg.svd(new.matrix[:2, :2], compute_uv=False)
    sane = bool((stretch > 0.75).all() and (stretch < 1.33).all())
    return new if sane and pair.score(new, FINE) >= pair.score(old, FINE) else old


def _bend(pair: Pair, start: Registration) -> Registration | None:
    """A cubic B-spline on a coarse mesh over the affine; None where it folds the tissue."""
    fixed, moving = pair.at(MIDDLE)
    back = np.linalg.inv(start.matrix)
    still = _padded(fixed, 0.15)
    affine = sitk.AffineTransform(2)
    affine.SetMatrix(back[:2, :2].ravel().tolist())
    affine.SetTranslation(back[:2, 2].tolist())
    moved = sitk.Resample(_padded(moving, 1.0), still, affine, sitk.sitkLinear, 0.0)
    spline = sitk.BSplineTransformInitializer(still, [5, 5], order=3)
    method = _method(3)
    method.SetOptimizerAsLBFGSB(numberOfIterations=40, maximumNumberOfCorrections=5)
    method.SetInitialTransform(spline, inPlace=True)
    _execute(method, still, moved)
    field = sitk.TransformToDisplacementField(
        spline,
        sitk.sitkVectorFloat32,
        still.GetSize(),
        still.GetOrigin(),
        still.GetSpacing(),
        still.GetDirection(),
    )
    origin = still.GetOrigin()
    bend = Displacement(
        np.moveaxis(sitk.GetArrayFromImage(field), -1, 0).astype(np.float32),
        (fixed.spacing, fixed.spacing),
        (float(origin[1]), float(origin[0])),
    )
    return None if bend.folds() else replace(start, displacement=bend)
