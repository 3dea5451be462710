// What every page shares. Names and labels come from users: they reach the page as text, never as HTML.
import { decodeBase64, message } from "./arrays.js";
import { load } from "./model.js";
import "./offline.js";

export const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

// Show a sentence; with `again` it is an error: no answer is shown, but the button that calls `again`.
export function say(text, again = null) {
  const status = byId("status");
  status.textContent = text;
  status.dataset.state = again ? "error" : "";
  if (again) root.dataset.state = "error";
  Object.assign(byId("retry"), { hidden: !again, onclick: again });
}

// A handler whose errors are shown on the page, and which can then be tried again.
export function guarded(handler, again) {
  return async function run(...values) {
    try {
      return await handler(...values);
    } catch (error) {
      say(message(error), again ?? (() => run(...values)));
    }
  };
}

// Run the script of the form, which gets a function that returns the model, loaded again after an error.
export const open = guarded(async (run) => {
  byId("heading").textContent = data.heading;
  byId("pages").append(...data.pages.map((page) => element("a", { href: page.file, textContent: page.title })));
  if (data.pages.length < 2) byId("pages").hidden = true;
  say("Loading the model.");
  let loading = null;
  const start = () => (loading ??= load(data.model.url, data.model));
  start().catch(() => undefined); // reported where it is awaited
  await run(async () => {
    const model = await start().catch((error) => { loading = null; throw error; });
    if (byId("status").dataset.state !== "error") say("");
    return model;
  });
}, () => location.reload());

// Call the model, and show how long the first answer and the last one took.
let first = null;
export async function ask(model, endpoint, values) {
  const started = performance.now();
  const outputs = await model.call(endpoint, values);
  const now = performance.now();
  first ??= now;
  root.dataset.firstAnswer = Math.round(first);
  if (byId("status").dataset.state === "error") say("");
  root.dataset.state = "answered";
  byId("timing").textContent = `First answer ${(first / 1000).toFixed(1)} s after the page was opened, the last call ${(now - started).toFixed(1)} ms.`;
  return outputs;
}

// The golden rows of an endpoint: {rows, texts, input(name, row), output(name, row)}.
export async function golden(endpoint) {
  const response = await fetch("golden.json");
  if (!response.ok) throw new Error(`The golden rows are missing: golden.json answers ${response.status}.`);
  const { rows, inputs, outputs, texts } = (await response.json())[endpoint];
  const row = (arrays) => {
    const decoded = Object.fromEntries(Object.entries(arrays).map(([k, a]) => [k, decodeBase64(a.dtype, a.data)]));
    return (name, i) => decoded[name].subarray((decoded[name].length / rows) * i, (decoded[name].length / rows) * (i + 1));
  };
  return { rows, texts, names: Object.keys(outputs), input: row(inputs), output: row(outputs) };
}

export function tensor(kind, name) {
  return data.endpoint[kind].find((candidate) => candidate.name === name);
}

export function softmax(values) {
  const largest = Math.max(...values);
  const powers = Array.from(values, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The probability of each class: scores are logits unless the contract calls them probabilities, as in the endpoint
// "bytes". One logit or probability alone is that of the second of two classes.
export function probabilities(scores, meaning) {
  if (scores.length === 1 && data.labels?.length !== 1) {
    const p = meaning === "logits" ? 1 / (1 + Math.exp(-scores[0])) : scores[0];
    return data.labels?.length === 2 ? [1 - p, p] : [p];
  }
  return meaning === "probabilities" ? Array.from(scores) : softmax(scores);
}

export function label(i) {
  return data.labels?.[i] ?? `class ${i}`;
}

// Show the most probable classes in the list #scores, the best one in #answer, and how sure that is in #doubt.
export function showScores(scores, meaning, count = 5) {
  const values = probabilities(scores, meaning);
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]).slice(0, count);
  const text = (i) => `${(100 * values[i]).toFixed(1)} %`;
  byId("answer").textContent = `${label(order[0])}, ${text(order[0])}`;
  byId("scores").replaceChildren(
    ...order.map((i) =>
      element(
        "tr", {},
        element("th", { scope: "row", textContent: label(i) }),
        element("td", {}, element("meter", { max: 1, value: values[i], ariaLabel: label(i) })),
        element("td", { textContent: text(i) }),
      ),
    ),
  );
  showDoubt(values, scores, meaning);
  root.dataset.firstShown ??= Math.round(performance.now());
  return values;
}

// Probabilities are those of the model, whose calibration the card states. The energy of logits (Liu et al. 2020,
// arXiv:2010.03759) says whether the input is like those that the model was trained on.
function showDoubt(values, scores, meaning) {
  const doubt = byId("doubt");
  if (!doubt) return;
  const [best, second] = values.map((value, i) => [value, i]).sort(([a], [b]) => b - a);
  const lowest = data.reference?.lowest_energy ?? null;
  const isUnlike = meaning === "logits" && lowest !== null && scores.length > 1 && energy(scores) < lowest;
  const isSure = best[0] >= 0.8;
  doubt.classList.toggle("sure", isSure && !isUnlike);
  if (isUnlike) doubt.textContent = "This is unlike what the model was trained on: do not rely on the answer.";
  else if (isSure) doubt.textContent = "The model is sure.";
  else if (second && best[0] - second[0] < 0.2) doubt.textContent = `The model is not sure: ${label(second[1])} is almost as probable.`;
  else doubt.textContent = "The model is not quite sure.";
}

function energy(logits) {
  const largest = Math.max(...logits);
  return largest + Math.log(Array.from(logits, (value) => Math.exp(value - largest)).reduce((a, b) => a + b, 0));
}

// The most probable class.
export function best(scores, meaning) {
  const values = probabilities(scores, meaning);
  return label(values.indexOf(Math.max(...values)));
}

// Say why there is no answer.
export function showNothing(reason) {
  say("");
  byId("answer").textContent = "—";
  byId("doubt").textContent = reason;
  byId("doubt").classList.remove("sure");
  byId("scores").replaceChildren();
  root.dataset.state = "answered";
}

// Show the outputs of the endpoint as numbers.
export function showValues(outputs) {
  const shown = data.endpoint.outputs.map(({ name }) => [name, Array.from(outputs[name], (x) => Number(Number(x).toPrecision(6)))]);
  root.dataset.firstShown ??= Math.round(performance.now());
  byId("answer").textContent = shown.map(([name, numbers]) => `${name.replaceAll("_", " ")}: ${numbers.slice(0, 8).join(", ")}${numbers.length > 8 ? ", ..." : ""}`).join("; ");
}

// Paint values (height, width, channels) in [low, high] on a canvas.
export function paint(canvas, shape, values, low, high) {
  const [height, width, channels] = shape;
  canvas.width = width;
  canvas.height = height;
  canvas.classList.toggle("small", width < 280);
  const pixels = new ImageData(width, height);
  const byte = (value) => (255 * (value - low)) / (high - low);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = byte(values[i * channels + (channels < 3 ? 0 : c)]);
    pixels.data[4 * i + 3] = channels === 4 ? byte(values[i * channels + 3]) : 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// The range of a tensor of pixels; where several are possible, the first.
export function range({ low, high, ranges }) {
  if (ranges?.length) return ranges[0];
  return [low?.[0] ?? low ?? 0, high?.[0] ?? high ?? 255];
}

// Standard normal numbers (Box and Muller 1958).
export function normal(count) {
  const one = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Float32Array.from({ length: count }, one);
}

export function size(shape) {
  return shape.slice(1).reduce((a, b) => a * b, 1);
}
