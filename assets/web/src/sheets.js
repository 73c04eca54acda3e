// Serial sections in a 3D pane: each plane as a picture at its depth, true colours, glass cut away.

import vtkDataArray from "@kitware/vtk.js/Common/Core/DataArray.js";
import vtkImageData from "@kitware/vtk.js/Common/DataModel/ImageData.js";
import vtkPlaneSource from "@kitware/vtk.js/Filters/Sources/PlaneSource.js";
import vtkActor from "@kitware/vtk.js/Rendering/Core/Actor.js";
import vtkMapper from "@kitware/vtk.js/Rendering/Core/Mapper.js";
import vtkTexture from "@kitware/vtk.js/Rendering/Core/Texture.js";
import vtkPlane from "@kitware/vtk.js/Common/DataModel/Plane.js";

export class SheetLayer {
  constructor(view) {
    this.view = view;
    this.sheets = [];
    this.depth = 1;
    this.crop = null;
  }

  /** @param pictures one {z_um, image: ImageData, x: [low, high], y: [low, high]} a plane */
  setSheets(pictures, depth) {
    this.depth = depth;
    while (this.sheets.length < pictures.length) this.sheets.push(this.#make());
    pictures.forEach((picture, i) => this.#fill(this.sheets[i], picture));
    this.pictures = pictures;
    if (this.crop) this.setCrop(this.crop);
  }

  #make() {
    const source = vtkPlaneSource.newInstance();
    const mapper = vtkMapper.newInstance();
    mapper.setInputConnection(source.getOutputPort());
    mapper.setViewSpecificProperties({
      OpenGL: {
        ShaderReplacements: [
          {
            shaderType: "Fragment",
            originalValue: "//VTK::TCoord::Impl",
            replaceFirst: true,
            replacementValue:
              "//VTK::TCoord::Impl\n  if (opacity < 0.35) discard;\n  opacity = 1.0;",
            replaceAll: true,
          },
        ],
      },
    });
    const actor = vtkActor.newInstance();
    actor.setMapper(mapper);
    actor.getProperty().setLighting(false);
    actor.setForceOpaque(true);
    this.view.renderer.addActor(actor);
    return { source, mapper, actor, texture: null };
  }

  #fill(sheet, { z_um, image, x, y }) {
    const { source, actor } = sheet;
    const z = z_um * this.depth;
    source.setOrigin(x[0], y[0], z);
    source.setPoint1(x[1], y[0], z);
    source.setPoint2(x[0], y[1], z);
    const data = vtkImageData.newInstance();
    data.setDimensions(image.width, image.height, 1);
    data.getPointData().setScalars(
      vtkDataArray.newInstance({
        numberOfComponents: 4,
        values: new Uint8Array(image.data.buffer),
      }),
    );
    // a texture's storage cannot change its size: each picture gets one of its own
    const texture = vtkTexture.newInstance();
    texture.setInterpolate(true);
    texture.setInputData(data);
    if (sheet.texture) {
      actor.removeTexture(sheet.texture);
      sheet.texture.delete();
    }
    actor.addTexture(texture);
    sheet.texture = texture;
  }

  setCrop(box) {
    this.crop = box;
    this.sheets.forEach(({ mapper, actor }, i) => {
      const picture = this.pictures[i];
      actor.setVisibility(picture.z_um >= box[2][0] && picture.z_um <= box[2][1]);
      mapper.removeAllClippingPlanes();
      for (const axis of [0, 1]) {
        for (const side of [0, 1]) {
          const origin = [0, 0, 0];
          const normal = [0, 0, 0];
          origin[axis] = box[axis][side];
          normal[axis] = side ? -1 : 1;
          mapper.addClippingPlane(vtkPlane.newInstance({ origin, normal }));
        }
      }
    });
  }

  setGene() {}

  setLook() {}

  /** The nearest plane's tissue along a ray, as a point of the study's frame. */
  pick({ from, to }) {
    let found = null;
    let nearest = Infinity;
    for (const { z_um, image, x, y } of this.pictures ?? []) {
      const t = (z_um * this.depth - from[2]) / to[2];
      if (!Number.isFinite(t) || t >= nearest) continue;
      const px = from[0] + to[0] * t;
      const py = from[1] + to[1] * t;
      if (this.crop && !this.crop.every(([a, b], i) => [px, py, z_um][i] >= a && [px, py, z_um][i] <= b)) continue;
      const u = Math.floor(((px - x[0]) / (x[1] - x[0])) * image.width);
      const v = Math.floor(((py - y[0]) / (y[1] - y[0])) * image.height);
      if (u < 0 || v < 0 || u >= image.width || v >= image.height) continue;
      if (image.data[4 * (v * image.width + u) + 3] < 90) continue;
      nearest = t;
      found = [px, py, z_um];
    }
    return found;
  }
}
