// A model on a server: the calls of model.js, which this file replaces, by the REST API of TF Serving in columns.
import { message, typed } from "./arrays.js";

const SECONDS = 60; // for one answer

class ServedModel {
  constructor(url, endpoints) {
    this.url = url;
    this.endpoints = endpoints; // {name: endpoint of the contract}
  }

  // The shape and dtype of each input of an endpoint, for one row.
  inputs(endpoint) {
    const { inputs } = this.endpoints[endpoint];
    return Object.fromEntries(inputs.map(({ name, shape, dtype }) => [name, { shape: [1, ...shape.slice(1)], dtype }]));
  }

  // {input name: numbers} -> {output name: typed array}
  async call(endpoint, values) {
    const inputs = {};
    for (const [name, { shape }] of Object.entries(this.inputs(endpoint))) {
      if (!(name in values)) throw new Error(`The input ${name} is missing.`);
      inputs[name] = nested(Array.from(values[name], Number), shape);
    }
    const found = await this.send({ signature_name: endpoint, inputs });
    const { outputs } = this.endpoints[endpoint];
    const named = outputs.length === 1 ? { [outputs[0].name]: found } : found; // one output alone has no name
    return Object.fromEntries(outputs.map(({ name, dtype }) => [name, typed(dtype, numbers(named[name]))]));
  }

  async send(body) {
    const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let response, answer;
    try {
      response = await fetch(this.url, { ...request, signal: AbortSignal.timeout(1000 * SECONDS) });
      answer = await response.json();
    } catch (error) {
      throw new Error(`The server does not answer: ${message(error)}`);
    }
    if (!response.ok || answer.error) throw new Error(`The server refuses the request: ${answer.error ?? response.status}`);
    return answer.outputs;
  }
}

// Nested lists as flat numbers; a server that writes strict JSON has null for NaN.
function numbers(values) {
  return [values].flat(Infinity).map((value) => value ?? NaN);
}

// Flat numbers as nested lists of a shape.
function nested(values, shape) {
  for (const size of shape.slice(1).reverse()) {
    values = Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
  }
  return values;
}

export async function load(url, { endpoints }) {
  return new ServedModel(url, endpoints);
}
