// The block as the server's VTK draws it: colour and opacity of each voxel, looked up beforehand.

import vtkDataArray from "@kitware/vtk.js/Common/Core/DataArray.js";
import vtkImageData from "@kitware/vtk.js/Common/DataModel/ImageData.js";
import vtkPiecewise from "@kitware/vtk.js/Common/DataModel/PiecewiseFunction.js";
import vtkColors from "@kitware/vtk.js/Rendering/Core/ColorTransferFunction.js";
import vtkVolume from "@kitware/vtk.js/Rendering/Core/Volume.js";
import vtkVolumeMapper from "@kitware/vtk.js/Rendering/Core/VolumeMapper.js";
import { planesOf } from "./layers.js";

const MOST_SAMPLES = 4000;

/** RGBA of every voxel, a word each, from gray and light, expression and the table of both. */
export function composed({ base, levels, table, rgba }) {
  if (rgba) return new Uint8Array(rgba);
  const index = new Uint16Array(base);
  const inks = new Uint32Array(table);
  const out = new Uint32Array(index.length);
  if (levels) {
    const level = new Uint8Array(levels);
    for (let i = 0; i < out.length; i++) out[i] = inks[index[i] | level[i]];
  } else for (let i = 0; i < out.length; i++) out[i] = inks[index[i]];
  return new Uint8Array(out.buffer);
}

export class Block {
  #look = "";
  #times = 1;

  constructor(canvas) {
    this.canvas = canvas;
    this.mapper = vtkVolumeMapper.newInstance();
    this.mapper.setAutoAdjustSampleDistances(false);
    this.mapper.setMaximumSamplesPerRay(MOST_SAMPLES);
    this.mapper.setViewSpecificProperties({ OpenGL: { ShaderReplacements: [
      // the strongest voxel of a ray is the one of most opacity, with its own colour
      ["selectedValue = OP(selectedValue, currentValue);",
        "if (currentValue.a > selectedValue.a) selectedValue = currentValue;"],
      ["selectedValue = OP(selectedValue, currentValue);",
        "if (currentValue.a > selectedValue.a) selectedValue = currentValue;"],
      // the same picture every time: no random numbers from the processor
      ["float secondNoise = texture2D(jtexture, gl_FragCoord.xy / 32.0).r;",
        "float secondNoise = 0.0;"],
      ["gl_FragData[0] = vec4(color.rgb / color.a, color.a);",
        "gl_FragData[0] = vec4(color.rgb / max(color.a, 1e-4), color.a);"],
    ].map(([originalValue, replacementValue]) => ({
      shaderType: "Fragment", originalValue, replaceFirst: true, replacementValue,
      replaceAll: false, // the text as it stands, once
    })) } });
    this.actor = vtkVolume.newInstance();
    this.actor.setMapper(this.mapper);
    this.property = this.actor.getProperty();
    this.property.setIndependentComponents(false);
    this.property.setInterpolationTypeToLinear();
    this.property.setShade(false);
    const colours = vtkColors.newInstance();
    colours.addRGBPoint(0, 0, 0, 0);
    colours.addRGBPoint(255, 1, 1, 1);
    this.property.setRGBTransferFunction(0, colours);
    this.opacity = vtkPiecewise.newInstance();
    this.property.setScalarOpacity(0, this.opacity);
    canvas.onsteps = (times) => this.#step(times);
  }

  /** @param told the scene's ``volume``; @param voxels bytes, four a voxel */
  set(told, voxels, { depth, across, maximum, crop }) {
    const [nz, ny, nx] = told.shape;
    const [z, y, x] = told.spacing;
    const [oz, oy, ox] = told.origin;
    const image = vtkImageData.newInstance();
    image.setDimensions(nx, ny, nz);
    image.setSpacing(x, y, z * depth);
    image.setOrigin(ox, oy, oz * depth);
    image.getPointData().setScalars(
      vtkDataArray.newInstance({ name: "rgba", numberOfComponents: 4, values: voxels }));
    this.mapper.setInputData(image);
    this.finest = Math.min(x, y, z * depth);
    const [deep, high, wide] = told.extent;
    this.unit = Math.max(wide, high, deep * depth) / across;
    this.opacity.removeAllPoints();
    this.opacity.addPoint(0, 0);
    this.opacity.addPoint(255, 1);
    this.look({ maximum, crop, depth });
    if (!this.canvas.renderer.getVolumes().includes(this.actor)) {
      this.canvas.renderer.addVolume(this.actor);
    }
  }

  look({ maximum, crop, depth }) {
    const key = JSON.stringify([maximum, crop, depth, this.unit, this.finest]);
    if (key === this.#look) return;
    this.#look = key;
    this.maximum = maximum;
    this.#step(this.#times, true);
    if (maximum) this.mapper.setBlendModeToMaximumIntensity();
    else this.mapper.setBlendModeToComposite();
    this.mapper.removeAllClippingPlanes();
    if (crop) planesOf(crop, depth).forEach((plane) => this.mapper.addClippingPlane(plane));
  }

  #step(times, anew = false) {
    if (!this.finest || (times === this.#times && !anew)) return;
    this.#times = times;
    const step = this.finest * times;
    this.mapper.setSampleDistance(step);
    // the strongest voxel of a ray is seen as it is: no thickness of it counts
    this.property.setScalarOpacityUnitDistance(0, this.maximum ? step : this.unit);
    this.opacity.modified(); // its table is made for one length of step
  }

  remove() {
    this.canvas.renderer.removeVolume(this.actor);
  }
}
