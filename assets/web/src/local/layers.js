// What stands in the scene as geometry: outlines, discs of spots, surfaces, planes of a stack.

import vtkDataArray from "@kitware/vtk.js/Common/Core/DataArray.js";
import vtkImageData from "@kitware/vtk.js/Common/DataModel/ImageData.js";
import vtkPlane from "@kitware/vtk.js/Common/DataModel/Plane.js";
import vtkPolyData from "@kitware/vtk.js/Common/DataModel/PolyData.js";
import vtkPlaneSource from "@kitware/vtk.js/Filters/Sources/PlaneSource.js";
import vtkActor from "@kitware/vtk.js/Rendering/Core/Actor.js";
import vtkMapper from "@kitware/vtk.js/Rendering/Core/Mapper.js";
import vtkTexture from "@kitware/vtk.js/Rendering/Core/Texture.js";
import { newShell } from "./shell.js";

const FEW_SPOTS = 20_000; // more than these are drawn as squares
const BOX_EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7],
  [0, 4], [1, 5], [2, 6], [3, 7]];

export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);

/** The planes that leave a box of x, y and z ranges; z stretched. */
export function planesOf(crop, depth, axes = [0, 1, 2]) {
  return axes.flatMap((axis) => [0, 1].map((side) => {
    const origin = [0, 0, 0];
    const normal = [0, 0, 0];
    origin[axis] = crop[axis][side] * (axis === 2 ? depth : 1);
    normal[axis] = side ? -1 : 1;
    return vtkPlane.newInstance({ origin, normal });
  }));
}

function plain(data, actor = vtkActor.newInstance()) {
  const mapper = vtkMapper.newInstance();
  if (data) mapper.setInputData(data);
  actor.setMapper(mapper);
  actor.getProperty().setLighting(false);
  return actor;
}

function coloured(points, polys, colours, kind) {
  const data = vtkPolyData.newInstance();
  data.getPoints().setData(points, 3);
  data.getPolys().setData(polys);
  data.getPointData().setScalars(
    vtkDataArray.newInstance({ name: "colour", numberOfComponents: 3, values: colours }));
  const actor = plain(data, kind);
  actor.getMapper().setColorModeToDirectScalars();
  actor.getMapper().setScalarModeToUsePointData();
  return actor;
}

/** One outline: a ring of corners, or the edges of a box. */
export function outline({ ring, box, colour, width }, depth) {
  const corners = ring ?? [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
    [0, 1, 2].map((axis) => box[axis][(n >> axis) & 1]));
  const points = new Float32Array(corners.flatMap(([x, y, z]) => [x, y, z * depth]));
  const lines = ring
    ? [corners.length + 1, ...corners.keys(), 0]
    : BOX_EDGES.flatMap((edge) => [2, ...edge]);
  const data = vtkPolyData.newInstance();
  data.getPoints().setData(points, 3);
  data.getLines().setData(new Uint32Array(lines));
  const actor = plain(data);
  actor.getProperty().setColor(...rgb(colour));
  actor.getProperty().setLineWidth(width);
  return actor;
}

/** Measured spots as discs in their plane; bytes as ``ToldStage.set_spots`` keeps them. */
export function spots(buffer, depth) {
  const count = buffer.byteLength / 19; // four floats and three bytes
  const places = new Float32Array(buffer, 0, 3 * count);
  const sizes = new Float32Array(buffer, 12 * count, count);
  const inks = new Uint8Array(buffer, 16 * count);
  const sides = count < FEW_SPOTS ? 14 : 4;
  const points = new Float32Array(3 * sides * count);
  const colours = new Uint8Array(3 * sides * count);
  const polys = new Uint32Array((sides + 1) * count);
  for (let n = 0, p = 0, c = 0; n < count; n++) {
    polys[c++] = sides;
    for (let side = 0; side < sides; side++, p++) {
      const angle = ((2 * side + 1) * Math.PI) / sides;
      points[3 * p] = places[3 * n] + (Math.cos(angle) * sizes[n]) / 2;
      points[3 * p + 1] = places[3 * n + 1] + (Math.sin(angle) * sizes[n]) / 2;
      points[3 * p + 2] = places[3 * n + 2] * depth;
      colours.set(inks.subarray(3 * n, 3 * n + 3), 3 * p);
      polys[c++] = p;
    }
  }
  return coloured(points, polys, colours);
}

/** Surfaces; bytes as ``ToldStage._keep_meshes`` keeps them: numbers first, then colours. */
export function meshes(buffer, told, depth, crop) {
  let at = 0;
  const found = told.map(({ points, triangles, opacity }) => {
    const places = new Float32Array(buffer.slice(at, at + 12 * points));
    const corners = new Uint32Array(buffer, at + 12 * points, 3 * triangles);
    at += 12 * (points + triangles);
    for (let i = 2; i < places.length; i += 3) places[i] *= depth;
    const polys = new Uint32Array(4 * triangles);
    for (let t = 0; t < triangles; t++) {
      polys[4 * t] = 3;
      polys.set(corners.subarray(3 * t, 3 * t + 3), 4 * t + 1);
    }
    return { places, polys, opacity };
  });
  return found.map(({ places, polys, opacity }) => {
    const inks = new Uint8Array(buffer, at, places.length);
    const actor = coloured(places, polys, inks, opacity < 1 ? newShell() : undefined);
    at += places.length;
    actor.getProperty().setOpacity(opacity);
    if (crop) planesOf(crop, depth).forEach((plane) => actor.getMapper().addClippingPlane(plane));
    return actor;
  });
}

/** Planes of a stack as glass with tissue in it, each ``{actor, z}``. */
export function sheets(buffer, told, depth, crop) {
  let at = 0;
  return told.map(({ x, y, z, shape: [high, wide] }) => {
    const values = new Uint8Array(buffer, at, 4 * high * wide);
    at += values.length;
    const source = vtkPlaneSource.newInstance();
    source.setOrigin(x[0], y[0], z * depth);
    source.setPoint1(x[1], y[0], z * depth);
    source.setPoint2(x[0], y[1], z * depth);
    const image = vtkImageData.newInstance();
    image.setDimensions(wide, high, 1);
    image.getPointData().setScalars(vtkDataArray.newInstance({ numberOfComponents: 4, values }));
    const texture = vtkTexture.newInstance();
    texture.setInterpolate(true);
    texture.setInputData(image);
    const actor = plain(null);
    const mapper = actor.getMapper();
    mapper.setInputConnection(source.getOutputPort());
    // nothing is there where the glass is clear; else it is mixed with what was drawn before it
    mapper.setViewSpecificProperties({ OpenGL: { ShaderReplacements: [{
      shaderType: "Fragment", originalValue: "//VTK::TCoord::Impl", replaceFirst: true,
      replacementValue: "//VTK::TCoord::Impl\n  if (opacity < 0.004) discard;", replaceAll: true,
    }] } });
    actor.addTexture(texture);
    // vtk.js would mix translucent planes without order; we draw them from far to near
    actor.setForceOpaque(true);
    if (crop) {
      actor.setVisibility(z >= crop[2][0] && z <= crop[2][1]);
      planesOf(crop, depth, [0, 1]).forEach((plane) => mapper.addClippingPlane(plane));
    }
    return { actor, z };
  });
}
