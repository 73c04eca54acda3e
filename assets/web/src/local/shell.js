// An actor of glass in tissue: as VTK does it, tissue is drawn over it and does not end at it.

import vtkActor from "@kitware/vtk.js/Rendering/Core/Actor.js";
import vtkOpenGLActor from "@kitware/vtk.js/Rendering/OpenGL/Actor.js";
import { registerOverride } from "@kitware/vtk.js/Rendering/OpenGL/ViewNodeFactory.js";
import macro from "@kitware/vtk.js/macros.js";

const NAME = "ShellActor";

export const newShell = macro.newInstance((publicAPI, model, initial) => {
  vtkActor.extend(publicAPI, model, initial);
  model.classHierarchy.push(NAME);
}, NAME);

registerOverride(NAME, macro.newInstance((publicAPI, model, initial) => {
  vtkOpenGLActor.extend(publicAPI, model, initial);
  publicAPI.traverseZBufferPass = () => {}; // where rays end is told by this pass
}));
