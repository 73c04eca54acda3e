// Grid: shape, spacing, origin (z, y, x); the one place that turns indices into micrometres.

export const AXIS = { x: 2, y: 1, z: 0 };

/** View -> the axis that is cut, the axis down the picture, the axis along it. */
export const VIEWS = {
  xy: { cut: 0, down: 1, across: 2 },
  xz: { cut: 1, down: 0, across: 2 },
  yz: { cut: 2, down: 0, across: 1 },
};

export class Grid {
  constructor(record) {
    this.shape = record.shape;
    this.spacing = record.spacing_um;
    this.origin = record.origin_um;
  }

  get voxels() {
    return this.shape[0] * this.shape[1] * this.shape[2];
  }

  /** Lower voxel edge along an axis. */
  low(axis) {
    return this.origin[axis] - this.spacing[axis] / 2;
  }

  /** Edge-to-edge size along an axis. */
  size(axis) {
    return this.shape[axis] * this.spacing[axis];
  }

  high(axis) {
    return this.low(axis) + this.size(axis);
  }

  /** Fractional index of a place along an axis. */
  index(axis, um) {
    return (um - this.origin[axis]) / this.spacing[axis];
  }

  /** Nearest whole index, held inside. */
  nearest(axis, um) {
    return Math.min(this.shape[axis] - 1, Math.max(0, Math.round(this.index(axis, um))));
  }

  um(axis, index) {
    return this.origin[axis] + index * this.spacing[axis];
  }

  /** The middle of the block as a point (x, y, z). */
  get centre() {
    return [2, 1, 0].map((axis) => (this.low(axis) + this.high(axis)) / 2);
  }

  /** The extent as [[x0, x1], [y0, y1], [z0, z1]]. */
  get bounds() {
    return [2, 1, 0].map((axis) => [this.low(axis), this.high(axis)]);
  }

  contains(point) {
    return [2, 1, 0].every(
      (axis, i) => point[i] >= this.low(axis) && point[i] <= this.high(axis),
    );
  }
}
