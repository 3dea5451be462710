// A TFLite file in the browser: load it, call its endpoints with typed arrays by name.
// The proof of a bundle (runtime "browser") runs this same file.
import { message, typed } from "./arrays.js";
import { loadLiteRt, loadAndCompile, Tensor } from "./litert/index.js";

const DAMAGED = "The model file is not the one that this page was written for: write the site again.";

let runtime = null; // one for all models of a page

export class Model {
  constructor(compiled, milliseconds) {
    this.compiled = compiled;
    this.milliseconds = milliseconds; // from the request to the compiled model
    this.queue = Promise.resolve();
  }

  // The shape and dtype of each input of an endpoint, as the file has them.
  inputs(endpoint) {
    const details = this.signature(endpoint).getInputDetails();
    return Object.fromEntries(details.map((d) => [d.name, { shape: Array.from(d.shape), dtype: d.dtype }]));
  }

  signature(endpoint) {
    const signature = this.compiled.signatures[endpoint];
    if (!signature) throw new Error(`The model file has no endpoint ${endpoint}.`);
    return signature;
  }

  // {input name: numbers} -> {output name: typed array}; calls wait for each other.
  call(endpoint, values) {
    const result = this.queue.then(() => this.run(endpoint, values));
    this.queue = result.catch(() => undefined);
    return result;
  }

  async run(endpoint, values) {
    const tensors = {};
    let outputs = {};
    try {
      for (const [name, { shape, dtype }] of Object.entries(this.inputs(endpoint))) {
        if (!(name in values)) throw new Error(`The input ${name} is missing.`);
        tensors[name] = new Tensor(typed(dtype, values[name]), shape);
      }
      outputs = await this.signature(endpoint).run(tensors);
      for (const name in outputs) {
        if (outputs[name].accelerator !== "wasm") outputs[name] = await outputs[name].moveTo("wasm");
      }
      return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.toTypedArray()]));
    } finally {
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) tensor.delete();
    }
  }
}

// Fetch and compile a model; `expected` is {bytes, sha256} of its file, or null. The accelerator is "wasm" or "webgpu".
export async function load(url, expected, accelerator = "wasm") {
  const started = performance.now();
  const [bytes] = await Promise.all([read(url, expected), start(accelerator)]);
  try {
    return new Model(await loadAndCompile(bytes, { accelerator }), performance.now() - started);
  } catch (error) {
    throw new Error(`This browser cannot run the model: ${message(error)}`);
  }
}

async function read(url, expected, cache = "default") {
  const response = await fetch(url, { cache }).catch(() => { throw new Error(`The model file ${url} cannot be loaded: its server does not answer.`); });
  if (!response.ok) throw new Error(`The model file is missing: ${url} answers ${response.status}.`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (!expected || (bytes.length === expected.bytes && (await hasDigest(bytes, expected.sha256)))) return bytes;
  if (cache === "reload") throw new Error(DAMAGED);
  return read(url, expected, "reload"); // a cache may have kept a damaged file
}

async function hasDigest(bytes, sha256) {
  if (!globalThis.crypto?.subtle) return true; // over plain HTTP there is none, except on this machine
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}

// The WebAssembly of LiteRT.js `name`, which a site holds compressed, whatever its server does; undefined where it does not.
async function unpacked(name) {
  const response = await fetch(new URL(`./litert/${name}.gz`, import.meta.url));
  if (!response.ok) return undefined;
  const stream = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// A GPU is waited for by JSPI: the WebAssembly without it cannot wait.
async function start(accelerator) {
  const options = { prepare: unpacked, jspi: accelerator !== "wasm" };
  runtime ??= loadLiteRt(new URL("./litert/", import.meta.url).href, options);
  try {
    await runtime;
  } catch (error) {
    runtime = null; // it can be tried again
    throw new Error(`LiteRT.js does not start in this browser: ${message(error)}`);
  }
}
