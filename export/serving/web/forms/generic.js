// Any endpoint: the inputs as JSON, prefilled with a golden row.
import { ask, byId, data, element, golden, guarded, open, say } from "./ui.js";

const SHOWN = 1000; // numbers of an output
const TYPED = 5000; // numbers of an input: of a larger one the golden row is used until something is entered

function shapeOf(tensor) {
  return tensor.shape.map((dimension) => dimension ?? 1);
}

function numbers(text, tensor, example) {
  if (!text.trim()) return example;
  let values;
  try {
    values = JSON.parse(text).flat(Infinity);
  } catch {
    throw new Error(`The input ${tensor.name} is not a JSON list of numbers.`);
  }
  const count = shapeOf(tensor).reduce((a, b) => a * b, 1);
  if (values.length !== count) throw new Error(`The input ${tensor.name} has ${values.length} numbers, not ${count}.`);
  if (!values.every(Number.isFinite)) throw new Error(`The input ${tensor.name} holds something other than numbers.`);
  const { low, high, meaning } = tensor;
  if (meaning === "token" && values.some((x) => !Number.isInteger(x) || x < (low?.[0] ?? low ?? 0) || x > (high?.[0] ?? high))) {
    throw new Error(`The input ${tensor.name} holds an id outside ${low ?? 0} to ${high}.`);
  }
  return values;
}

open(async (load) => {
  const model = await load();
  const example = await golden(data.endpoint.name);
  const areas = data.endpoint.inputs.map((tensor) => {
    const row = Array.from(example.input(tensor.name, 0), Number);
    const isShort = row.length <= TYPED;
    const hint = isShort ? "" : `Empty: a golden row of ${row.length} numbers.`;
    const area = element("textarea", { rows: 5, value: isShort ? JSON.stringify(row) : "", placeholder: hint, spellcheck: false });
    byId("inputs").append(element("label", {}, `${tensor.name}: ${tensor.dtype} (${shapeOf(tensor).join(", ")}), ${tensor.meaning}`, area));
    return area;
  });

  async function run() {
    const values = Object.fromEntries(data.endpoint.inputs.map((tensor, i) => [tensor.name, numbers(areas[i].value, tensor, example.input(tensor.name, 0))]));
    const outputs = await ask(model, data.endpoint.name, values);
    say("The model has answered.");
    byId("outputs").replaceChildren(...data.endpoint.outputs.flatMap((tensor) => {
      const array = outputs[tensor.name];
      const text = Array.from(array.subarray(0, SHOWN), Number).join(", ") + (array.length > SHOWN ? ", ..." : "");
      return [element("h4", { textContent: `${tensor.name}: ${array.length} numbers` }), element("pre", { textContent: text, tabIndex: 0 })];
    }));
  }

  byId("form").addEventListener("submit", (event) => { event.preventDefault(); guarded(run)(); });
  await run();
});
