// A volume in a 3D pane: one ray samples morphology and expression, each by its own transfer.

import vtkDataArray from "@kitware/vtk.js/Common/Core/DataArray.js";
import vtkImageData from "@kitware/vtk.js/Common/DataModel/ImageData.js";
import vtkPiecewise from "@kitware/vtk.js/Common/DataModel/PiecewiseFunction.js";
import vtkPlane from "@kitware/vtk.js/Common/DataModel/Plane.js";
import vtkColors from "@kitware/vtk.js/Rendering/Core/ColorTransferFunction.js";
import vtkVolume from "@kitware/vtk.js/Rendering/Core/Volume.js";
import vtkVolumeMapper from "@kitware/vtk.js/Rendering/Core/VolumeMapper.js";
import vtkVolumeProperty from "@kitware/vtk.js/Rendering/Core/VolumeProperty.js";
import { SOFT, TINT, fade, volumeAlpha } from "./compose.js";
import { AXIS } from "./grid.js";
import { MOVING_SCALE } from "./view3d.js";

const CUSTOM_MIX = 3; // ColorMixPreset.CUSTOM
const NEAREST = 0;
const STEPS_ACROSS = 400; // of the block's longest side, per unit of opacity
const glsl = (numbers) => `vec3(${numbers.map((v) => v.toExponential(8)).join(", ")})`;

function image(bytes, components, grid) {
  const data = vtkImageData.newInstance();
  data.setDimensions(...[...grid.shape].reverse());
  data.setSpacing(...[...grid.spacing].reverse());
  data.setOrigin(...[...grid.origin].reverse());
  data.getPointData().setScalars(
    vtkDataArray.newInstance({ numberOfComponents: components, values: bytes }),
  );
  return data;
}

export class VolumeLayer {
  /** @param labels whether the second texture holds class numbers instead of expression */
  constructor(view, { labels = false } = {}) {
    this.view = view;
    this.labels = labels;
    this.mapper = vtkVolumeMapper.newInstance();
    this.mapper.setAutoAdjustSampleDistances(true);
    this.mapper.setMaximumSamplesPerRay(4000);
    this.mapper.setInitialInteractionScale(view.software ? MOVING_SCALE : 1);
    this.mapper.setInteractionSampleDistanceFactor(view.software ? 2 : 1);
    this.planes = [0, 1, 2].flatMap((axis) =>
      [1, -1].map((sign) => {
        const normal = [0, 0, 0];
        normal[axis] = sign;
        return vtkPlane.newInstance({ normal });
      }),
    );
    this.planes.forEach((plane) => this.mapper.addClippingPlane(plane));
    this.actor = vtkVolume.newInstance();
    this.actor.setMapper(this.mapper);
    this.property = this.actor.getProperty();
    this.property.setColorMixPreset(CUSTOM_MIX);
    this.property.setIndependentComponents(true);
    this.property.setInterpolationTypeToLinear();
    this.second = vtkVolumeProperty.newInstance();
    if (labels) this.second.setInterpolationType(NEAREST);
    else this.second.setInterpolationTypeToLinear();
    this.actor.setProperty(1, this.second);
    this.colours = [0, 1].map(() => vtkColors.newInstance());
    this.opacities = [0, 1].map(() => vtkPiecewise.newInstance());
    [0, 1].forEach((c) => {
      this.property.setRGBTransferFunction(c, this.colours[c]);
      this.property.setScalarOpacity(c, this.opacities[c]);
    });
    this.colours[0].setNodes([node(0, [0, 0, 0]), node(255, [1, 1, 1])]);
    this.gene = null;
    this.solid = null;
    this.look = null;
  }

  /** Morphology: gray and light by voxel, interleaved. */
  setSolid(solid, grid, lattice = null) {
    this.lattice = lattice ?? grid;
    this.solid = solid;
    this.grid = grid;
    const first = image(solid, 2, grid);
    this.mapper.setInputData(first, 0);
    if (!this.gene) this.#setSecond(new Uint8Array(2), nothing(this.lattice));
    const finest = Math.min(...grid.spacing);
    const step = finest * (this.labels ? 0.6 : this.view.software ? 1.3 : 0.7);
    this.mapper.setSampleDistance(step);
    [0, 1].forEach((c) => this.property.setScalarOpacityUnitDistance(c, step));
    this.#shader();
    if (!this.view.renderer.getVolumes().includes(this.actor)) {
      this.view.renderer.addVolume(this.actor);
    }
    if (!this.crop) this.setCrop(grid.bounds);
  }

  /** Expression: two bytes a token (value, tissue), or null for morphology alone. */
  setGene(gene) {
    this.gene = gene;
    if (gene) this.#setSecond(gene.texture, gene.grid);
    else this.#setSecond(new Uint8Array(2), nothing(this.lattice));
    this.#shader();
  }

  #setSecond(bytes, grid) {
    this.secondGrid = grid;
    const data = image(bytes, 2, grid);
    if (this.mapper.getNumberOfInputPorts() < 2) this.mapper.addInputData(data);
    else this.mapper.setInputData(data, 1);
  }

  /** Colours, window, opacity, threshold and morphology of the state. */
  setLook(look) {
    this.look = look;
    const dense = [];
    for (let gray = 0; gray <= 255; gray += 5) {
      dense.push(point(gray, volumeAlpha(gray, 0, 0, look.morphology)));
    }
    this.opacities[0].setNodes(dense);
    if (this.labels) {
      this.#classLook(look);
      return;
    }
    const [low, high] = this.codes(look.window);
    const at = (part) => low + part * (high - low);
    this.colours[1].setNodes(
      Array.from({ length: 256 }, (_, i) =>
        node(at(i / 255), [0, 1, 2].map((c) => look.colours[3 * i + c] / 255)),
      ),
    );
    const { opacity, threshold } = look;
    const ends =
      threshold <= 0
        ? [point(at(0), opacity), point(at(1), opacity)]
        : [
            point(at(0), 0),
            point(at(Math.min(threshold, 0.999)), 0),
            point(at(Math.min(threshold + SOFT, 1)), opacity * fade(1, threshold)),
            point(at(1) + 1e-3, opacity * fade(1, threshold)),
          ];
    this.opacities[1].setNodes(ends);
  }

  #classLook({ classes }) {
    const colours = [];
    const opacities = [];
    for (let number = 0; number < 256; number++) {
      const found = classes.get(number);
      const rgb = found ? found.rgb : [0, 0, 0];
      colours.push(node(number - 0.49, rgb), node(number + 0.49, rgb));
      const opacity = found ? found.opacity : 0;
      opacities.push(point(number - 0.49, opacity), point(number + 0.49, opacity));
    }
    this.colours[1].setNodes(colours);
    this.opacities[1].setNodes(opacities);
  }

  /** The window in codes of the present gene's texture. */
  codes([low, high]) {
    const { min, max } = this.gene ?? { min: 0, max: 1 };
    const scale = 254 / Math.max(max - min, 1e-9);
    return [1 + (low - min) * scale, 1 + (high - min) * scale];
  }

  /** Show only a box [[x0, x1], [y0, y1], [z0, z1]]. */
  setCrop(box) {
    this.crop = box;
    box.forEach(([low, high], axis) => {
      const [first, second] = this.planes.slice(2 * axis, 2 * axis + 2);
      const origin = [0, 0, 0];
      origin[axis] = low;
      first.setOrigin(...origin);
      origin[axis] = high;
      second.setOrigin(...origin);
    });
    this.mapper.modified();
  }

  #shader() {
    if (!this.grid || !this.secondGrid) return;
    const size = (grid) => [2, 1, 0].map((a) => grid.shape[a] * grid.spacing[a]);
    const low = (grid) => [2, 1, 0].map((a) => grid.origin[a] - grid.spacing[a] / 2);
    const [a, b] = [this.grid, this.secondGrid];
    const scale = size(a).map((v, i) => v / size(b)[i]);
    const shift = low(a).map((v, i) => (v - low(b)[i]) / size(b)[i]);
    const longest = Math.max(...size(a));
    const key = JSON.stringify([scale, shift, longest]);
    if (key === this.shaderKey) return;
    this.shaderKey = key;
    const unit = (longest / STEPS_ACROSS).toExponential(8);
    const swaps = [
      ["rawSample[0] = texture(volumeTexture[0], pos)[0];", SAMPLE_FIRST],
      [
        "rawSample[1] = texture(volumeTexture[1], pos)[0];",
        `vec2 second = texture(volumeTexture[1], pos * ${glsl(scale)} + ${glsl(shift)}).rg;
         rawSample[1] = second.r; rawSample[3] = second.g;`,
      ],
      ["//VTK::CustomColorMix", this.labels ? MIX_LABELS(unit) : MIX(unit)],
      // the same picture every time: no random numbers from the processor
      ["float secondNoise = texture2D(jtexture, gl_FragCoord.xy / 32.0).r;",
        "float secondNoise = 0.0;"],
      ["gl_FragData[0] = vec4(color.rgb / color.a, color.a);",
        "gl_FragData[0] = vec4(color.rgb / max(color.a, 1e-4), color.a);"],
    ];
    this.mapper.setViewSpecificProperties({
      OpenGL: {
        ShaderReplacements: swaps.map(([original, replacement]) => ({
          shaderType: "Fragment",
          originalValue: original,
          replaceFirst: true,
          replacementValue: replacement,
          replaceAll: false, // the text as it stands, no regular expression
        })),
      },
    });
    this.mapper.modified();
  }

  /** The place along a ray that contributes most to its pixel; null where it meets nothing. */
  pick({ from, to }) {
    if (!this.solid) return null;
    const { grid, look, gene } = this;
    const step = Math.min(...grid.spacing) * 0.8;
    const length = Math.hypot(...[0, 1, 2].map((a) => grid.size(a)));
    const unit = Math.max(...[0, 1, 2].map((a) => grid.size(a))) / STEPS_ACROSS;
    let through = 1;
    let best = 0;
    let found = null;
    const [low, high] = look.window ?? [0, 1];
    for (let t = -length; t < length; t += step) {
      const place = from.map((v, i) => v + to[i] * t);
      if (!this.crop.every(([a, b], i) => place[i] >= a && place[i] <= b)) continue;
      if (!grid.contains(place)) continue;
      const [z, y, x] = [AXIS.z, AXIS.y, AXIS.x].map((a) => grid.nearest(a, place[2 - a]));
      const gray = this.solid[2 * ((z * grid.shape[1] + y) * grid.shape[2] + x)];
      let cover = 0;
      let part = 0;
      if (gene && !this.labels && gene.grid.contains(place)) {
        const [k, j, i] = [0, 1, 2].map((a) => gene.grid.nearest(a, place[2 - a]));
        const token = (k * gene.grid.shape[1] + j) * gene.grid.shape[2] + i;
        if (gene.mask[token]) {
          part = Math.min(1, Math.max(0, (gene.values[token] - low) / (high - low)));
          cover = look.opacity * fade(part, look.threshold);
        }
      }
      const alpha = 1 - (1 - volumeAlpha(gray, cover, part, look.morphology)) ** (step / unit);
      if (through * alpha > best) {
        best = through * alpha;
        found = place;
      }
      through *= 1 - alpha;
      if (through < 0.02) break;
    }
    return best > 0.004 ? found : null;
  }
}

const node = (x, [r, g, b]) => ({ x, r, g, b, midpoint: 0.5, sharpness: 0 });
const point = (x, y) => ({ x, y, midpoint: 0.5, sharpness: 0 });

/** One empty token as large as a lattice. */
function nothing(grid) {
  return {
    shape: [1, 1, 1],
    spacing: [0, 1, 2].map((a) => grid.size(a)),
    origin: [0, 1, 2].map((a) => (grid.low(a) + grid.high(a)) / 2),
  };
}

const SAMPLE_FIRST = `vec2 first = texture(volumeTexture[0], pos).rg;
  rawSample[0] = first.r; rawSample[2] = first.g;`;

const HEAD = `
  float gray = tValue[0];
  float shade = tValue[2];
  float body = clamp((gray - 0.10) / 0.75, 0.0, 1.0);
  float dense = getOpacityFromTexture(gray, 0, volume.transferFunctionsSampleHeight[0]);
  float lit = 0.35 + 0.65 * shade;`;

const TAIL = (unit) => `
  if (alpha < 0.001) return vec4(0.0);
  alpha = 1.0 - pow(1.0 - min(alpha, 0.999), sampleDistance / ${unit});
  return vec4(mix(tissue, painted, cover), alpha);`;

const TISSUE = `vec3 tissue = (0.25 + 0.75 * gray) * lit * vec3(${TINT.join(", ")});`;

const MIX = (unit) => `${HEAD}
  float known = smoothstep(0.3, 0.7, tValue[3]);
  float part = clamp(tValue[1] * volume.colorTextureScale[1] + volume.colorTextureShift[1],
                     0.0, 1.0);
  float cover = known <= 0.0 ? 0.0 : known *
    getOpacityFromTexture(tValue[1], 1, volume.transferFunctionsSampleHeight[1]);
  float alpha = max(dense, 0.6 * cover * (0.10 + 0.90 * part * sqrt(part)) *
                    (0.15 + 0.85 * body));
  ${TISSUE}
  vec3 painted = getColorFromTexture(tValue[1], 1, volume.transferFunctionsSampleHeight[1]) *
    (0.58 + 0.42 * gray) * (0.55 + 0.45 * shade);
  ${TAIL(unit)}`;

const MIX_LABELS = (unit) => `${HEAD}
  float height = volume.transferFunctionsSampleHeight[1];
  float cover = tValue[3] < 0.5 ? 0.0 : getOpacityFromTexture(tValue[1], 1, height);
  float alpha = cover * (0.05 + 0.45 * body) + 0.15 * dense * (1.0 - cover);
  ${TISSUE}
  vec3 painted = getColorFromTexture(tValue[1], 1, height) * (0.55 + 0.45 * gray) *
    (0.45 + 0.55 * shade);
  cover = min(1.0, cover * 4.0);
  ${TAIL(unit)}`;
