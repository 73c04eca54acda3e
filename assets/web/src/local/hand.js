// The visitor's pointer, wheel and fingers in the 3D view: as they turn the remote picture.

import { WHEEL, shift, turn, zoom } from "./camera.js";

const CLICK_PIXELS = 3;
const WHEEL_PIXELS = 100; // of a wheel's notch, as most browsers count it
const WHEEL_LINES = 3;

/**
 * @param hold {camera(), depth(), largest(), moved(camera, done), click(right, up)}
 */
export function watch(element, hold) {
  const down = new Map();
  let from = null; // where a press began, until it has moved
  let rest = 0;

  const middle = () => {
    const all = [...down.values()];
    return ["x", "y"].map((k) => all.reduce((sum, p) => sum + p[k], 0) / all.length);
  };
  const apart = () => {
    const [a, b] = [...down.values()];
    return Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
  };

  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    from = down.size === 1 ? { x: event.clientX, y: event.clientY, button: event.button } : null;
  });
  element.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last || !hold.camera()) return;
    if (from) {
      if (Math.hypot(event.clientX - from.x, event.clientY - from.y) <= CLICK_PIXELS) return;
      from = null;
    }
    const height = Math.max(1, element.clientHeight);
    const before = { middle: middle(), apart: down.size === 2 ? apart() : 1 };
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [x, y] = middle();
    const right = (x - before.middle[0]) / height;
    const up = (before.middle[1] - y) / height;
    let camera = hold.camera();
    if (down.size > 1) {
      camera = shift(camera, right, up, hold.depth());
      if (down.size === 2) camera = zoom(camera, apart() / before.apart, hold.largest());
    } else if (event.buttons & 2) camera = zoom(camera, 4 ** up, hold.largest());
    else if (event.buttons & 4 || event.shiftKey) camera = shift(camera, right, up, hold.depth());
    else camera = turn(camera, right, up);
    hold.moved(camera, false);
  });
  const lift = (event) => {
    if (!down.delete(event.pointerId) || down.size) return;
    const box = element.getBoundingClientRect();
    if (!from) hold.moved(hold.camera(), true);
    else if (from.button === 0 && event.type === "pointerup") {
      hold.click(
        (event.clientX - box.left - box.width / 2) / box.height,
        (box.top + box.height / 2 - event.clientY) / box.height,
      );
    }
    from = null;
  };
  element.addEventListener("pointerup", lift);
  element.addEventListener("pointercancel", lift);
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!hold.camera()) return;
    const unit = [WHEEL_PIXELS, WHEEL_LINES, 1][event.deltaMode];
    const notches = Math.max(-4, Math.min(4, event.deltaY / unit));
    hold.moved(zoom(hold.camera(), WHEEL ** -notches, hold.largest()), false);
    clearTimeout(rest);
    rest = setTimeout(() => hold.moved(hold.camera(), true), 150);
  }, { passive: false });

  return { held: () => down.size > 0 };
}
