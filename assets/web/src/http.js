// Zarr over plain HTTP, on hosts with range requests and on those without.

const WHOLE_FILES = 48;

let ranges = null; // a promise of whether this host answers range requests, once one was asked

/** A read-only store for zarrita. Where a host ignores ranges, whole files are kept and cut. */
export class HttpStore {
  #base;
  #whole = new Map();

  constructor(base) {
    this.#base = base.endsWith("/") ? base : `${base}/`;
  }

  #url(key) {
    return this.#base + key.replace(/^\//, "");
  }

  async get(key, options = {}) {
    const kept = this.#whole.get(key);
    if (kept) return kept;
    const response = await fetch(this.#url(key), { signal: options.signal });
    return body(response);
  }

  async getRange(key, range, options = {}) {
    if (this.#whole.has(key)) return cut(await this.#whole.get(key), range);
    if (ranges && !(await ranges)) return cut(await this.#fetchWhole(key), range);
    const asked = this.#fetchRange(key, range, options);
    // the first answer tells; until then others wait, or each would load the whole file
    ranges ??= asked.then(({ partial }) => partial, () => true);
    return (await asked).bytes;
  }

  async #fetchRange(key, range, options) {
    const header =
      "suffixLength" in range
        ? `bytes=-${range.suffixLength}`
        : `bytes=${range.offset}-${range.offset + range.length - 1}`;
    const response = await fetch(this.#url(key), {
      headers: { Range: header },
      signal: options.signal,
    });
    const bytes = await body(response);
    if (response.status !== 200 || !bytes) return { bytes, partial: true };
    this.#keep(key, bytes);
    return { bytes: cut(bytes, range), partial: false };
  }

  #fetchWhole(key) {
    if (!this.#whole.has(key)) {
      const loading = fetch(this.#url(key)).then(body);
      loading.catch(() => this.#whole.delete(key));
      this.#keep(key, loading);
    }
    return this.#whole.get(key);
  }

  #keep(key, bytes) {
    this.#whole.set(key, bytes);
    if (this.#whole.size > WHOLE_FILES) this.#whole.delete(this.#whole.keys().next().value);
  }
}

async function body(response) {
  if (response.status === 404) return undefined;
  if (response.status !== 200 && response.status !== 206) {
    throw new Error(`${response.url} answered ${response.status}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

function cut(bytes, range) {
  if (!bytes) return undefined;
  if ("suffixLength" in range) return bytes.slice(bytes.length - range.suffixLength);
  return bytes.slice(range.offset, range.offset + range.length);
}

/** Read JSON beside the page. */
export async function readJson(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}
