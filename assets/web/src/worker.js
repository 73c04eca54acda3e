// The worker: loads factors, decodes genes, prepares volumes, so that the page never waits.

import { open, root } from "zarrita";
import { FactorLevel } from "./decode.js";
import { HttpStore } from "./http.js";
import { place, pool } from "./image.js";
import { grayOf, solidOf } from "./solid.js";

let store = null;
let levels = [];
let loading = null;

async function loadLevel(record, number, rank) {
  const at = (path) => open.v3(root(store).resolve(path), { kind: "array" });
  const [codes, scales, mask] = await Promise.all([
    at(record.path),
    at(record.scale),
    at(record.mask),
  ]);
  const chunk = codes.chunks.slice(1);
  const level = new FactorLevel(record.shape, rank, chunk);
  const scale = await scales.getChunk([0, 0, 0, 0, 0]);
  const whole = new Uint8Array(level.tokens);
  const jobs = [];
  eachChunk(record.shape, mask.chunks, (where) => {
    jobs.push(async () => {
      const { data } = await mask.getChunk(where);
      place(whole, record.shape, data, mask.chunks, where);
    });
  });
  const [, ny, nx] = scales.shape;
  eachChunk(record.shape, chunk, (where) => {
    const [z, y, x] = where;
    const first = ((z * ny + y) * nx + x) * rank * 2;
    const own = scale.data.subarray(first, first + rank * 2);
    if (own.every((v) => v === 0)) return; // no tissue here
    jobs.push(async () => {
      const { data } = await codes.getChunk([0, ...where]);
      level.add(where, data, own);
    });
  });
  await pool(jobs, 6);
  level.setMask(whole);
  levels[number] = level;
}

async function announceLevel({ levels: records, rank }, number) {
  await loadLevel(records[number], number, rank);
  const mask = levels[number].mask.slice();
  self.postMessage({ op: "level", level: number, mask }, [mask.buffer]);
}

function eachChunk(shape, sizes, visit) {
  for (let z = 0; z * sizes[0] < shape[0]; z++) {
    for (let y = 0; y * sizes[1] < shape[1]; y++) {
      for (let x = 0; x * sizes[2] < shape[2]; x++) visit([z, y, x]);
    }
  }
}

const finest = () => levels.findIndex(Boolean);

const OPERATIONS = {
  /** Open a prediction: its coarsest level. */
  async coarse({ base, prediction }) {
    store = new HttpStore(base);
    levels = prediction.levels.map(() => null);
    loading = announceLevel(prediction, levels.length - 1);
    await loading;
  },

  /** The finer levels, once the coarsest has come. */
  async finer({ prediction }) {
    await loading;
    for (let number = levels.length - 2; number >= 0; number--) {
      await announceLevel(prediction, number);
    }
  },

  gene({ weights, mean, low, high, ticket }) {
    const number = finest();
    if (number < 0) throw new Error("no level of the prediction has come yet");
    const level = levels[number];
    const values = level.gene(weights, mean);
    const texture = level.texture(values, low, high);
    reply(ticket, { level: number, values, texture }, [values.buffer, texture.buffer]);
  },

  factors({ index, ticket }) {
    const level = levels[finest()];
    reply(ticket, { factors: level ? level.factorsAt(index) : null, level: finest() });
  },

  solid({ volumes, channels, rgb, shape, spacing, ticket }) {
    const gray = grayOf(volumes, channels, rgb);
    const solid = solidOf(gray, shape, spacing);
    reply(ticket, { solid, gray }, [solid.buffer, gray.buffer]);
  },
};

function reply(ticket, result, transfer = []) {
  self.postMessage({ op: "done", ticket, result }, transfer);
}

self.onmessage = async ({ data }) => {
  try {
    await OPERATIONS[data.op](data);
  } catch (error) {
    self.postMessage({ op: "failed", ticket: data.ticket, message: String(error.message ?? error) });
  }
};
