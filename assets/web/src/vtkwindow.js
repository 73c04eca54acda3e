// A window of vtk.js on an element of the page, with a parallel camera.

import "@kitware/vtk.js/Rendering/OpenGL/Profiles/Geometry.js";
import "@kitware/vtk.js/Rendering/OpenGL/Profiles/Volume.js";
import vtkRenderer from "@kitware/vtk.js/Rendering/Core/Renderer.js";
import vtkRenderWindow from "@kitware/vtk.js/Rendering/Core/RenderWindow.js";
import vtkOpenGLRenderWindow from "@kitware/vtk.js/Rendering/OpenGL/RenderWindow.js";

/**
 * @param interactor whom vtk.js asks whether anything moves
 * @param context what of a graphics context this window needs (getContext's attributes)
 * @throws when the browser gives no WebGL 2 context
 */
export function openWindow(container, background, interactor, context) {
  const renderWindow = vtkRenderWindow.newInstance();
  const renderer = vtkRenderer.newInstance({ background });
  renderWindow.addRenderer(renderer);
  const view = vtkOpenGLRenderWindow.newInstance();
  view.setContainer(container);
  renderWindow.addView(view);
  // made here, as vtk.js itself would ask for four samples a pixel
  const gl = view.get3DContext({ depth: true, powerPreference: "high-performance", ...context });
  if (!gl) throw new Error("no WebGL 2");
  interactor.setView(view);
  interactor.initialize();
  renderer.getActiveCamera().setParallelProjection(true);
  return { renderWindow, renderer, view, gl };
}
