// The numbers of one row in, a prediction out.
import { ask, byId, data, element, golden, guarded, open, showScores, showValues, tensor } from "./ui.js";

function control({ label, low, high, integer, choices }, value) {
  const text = choices ? label.replace(/_id$/, "") : label;
  const input = choices
    ? element("select", {}, ...choices.map(([number, name]) => element("option", { value: number, textContent: name })))
    : element("input", { type: "number", step: integer ? 1 : "any", required: true });
  if (!choices && integer) Object.assign(input, { min: low ?? "", max: high ?? "" }); // an id outside crashes runtimes
  input.value = choices || integer ? Number(value) : Number(Number(value).toPrecision(6));
  const hint = !choices && low !== null && high !== null ? ` (${Number(low.toPrecision(4))} to ${Number(high.toPrecision(4))})` : "";
  return { node: element("label", {}, text.replaceAll("_", " ") + hint, input), input };
}

open(async (load) => {
  const { fields, scores } = data.options;
  const example = await golden(data.endpoint.name);
  const used = {};
  const controls = fields.map((field) => {
    const position = (used[field.input] = (used[field.input] ?? -1) + 1);
    return control(field, example.input(field.input, 0)[position]);
  });
  byId("fields").append(...controls.map(({ node }) => node));

  const show = (outputs) => (scores ? showScores(outputs[scores], tensor("outputs", scores).meaning) : showValues(outputs));
  show(Object.fromEntries(example.names.map((name) => [name, example.output(name, 0)]))); // by Python, until the model is loaded
  const model = await load();

  async function run() {
    const values = {};
    fields.forEach((field, i) => (values[field.input] ??= []).push(Number(controls[i].input.value)));
    show(await ask(model, data.endpoint.name, values));
  }

  byId("form").addEventListener("submit", (event) => { event.preventDefault(); guarded(run)(); });
  byId("form").addEventListener("change", () => byId("form").checkValidity() && guarded(run)());
  await run();
});
