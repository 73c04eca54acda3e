// The 3D view where the visitor's browser draws it: the live app's scene, told by its server.

import { Canvas } from "./canvas.js";
import { watch } from "./hand.js";
import { Scene } from "./scene.js";

const TELL_MS = 100; // the server hears of a turn no oftener
const AGAIN_MS = [500, 1000, 2000, 4000, 8000];

const place = document.querySelector(".scene3d");
const base = new URL(".", location.href).href;
try {
  begin(new Canvas(place));
} catch {
  giveUp();
}

/** Let the server draw: this browser gives no picture, or no more. */
function giveUp() {
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}ws`);
  socket.onopen = () => socket.send(JSON.stringify({ lost: true }));
}

function begin(canvas) {
  const scene = new Scene(canvas, base);
  let camera = null;
  let socket = null;
  let tries = 0;
  let due = 0;

  const say = (message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const aim = () => {
    if (!camera) return;
    scene.order(camera.back[2]);
    canvas.aim(camera, scene.depth);
  };
  const tell = (done) => {
    if (done) {
      clearTimeout(due);
      due = 0;
      say({ camera, done });
    } else due ||= setTimeout(() => {
      due = 0;
      say({ camera, done: false });
    }, TELL_MS);
  };
  const hand = watch(place, {
    camera: () => camera,
    depth: () => scene.depth,
    largest: () => scene.largest,
    moved(next, done) {
      if (next !== camera) {
        camera = next;
        aim();
      }
      tell(done);
    },
    click: (right, up) => say({ click: [right, up] }),
  });
  canvas.held = hand.held;
  canvas.onlost = () => say({ lost: true });
  canvas.onresize = (width, height) => say({ size: [width, height] });
  scene.onshown = (told) => {
    document.body.dataset.shown = JSON.stringify(told.parts);
    aim();
  };

  function connect() {
    socket = new WebSocket(`${base.replace(/^http/, "ws")}ws`);
    socket.onopen = () => {
      tries = 0;
      if (canvas.width) say({ size: [canvas.width, canvas.height] });
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.gone) return void socket.close(1000);
      // whoever is turning the block by hand means that view
      if (message.camera && !hand.held()) {
        camera = message.camera;
        aim();
      }
      if (message.scene) scene.show(message.scene);
    };
    socket.onclose = ({ code }) => {
      if (code === 1000 || code >= 4000 || tries >= AGAIN_MS.length) return;
      setTimeout(connect, AGAIN_MS[tries++]);
    };
  }
  connect();
}
