// Run the golden rows of a bundle in this browser and compare the outputs with those of LiteRT in Python.
import { ids, Tokenizer } from "./tokenizer.js";
import { byId, data, element, golden, open, say } from "./ui.js";

const TOLERANCE = 5e-6; // of the largest absolute value of a row, and of one
const TEXTS = 2e-5; // the texts are compared with the reference model, which is not LiteRT

function difference(found, expected) {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(Number(value))), 1);
  let worst = found.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(Number(found[i]) - Number(expected[i])) / largest;
    worst = distance <= worst ? worst : Object.is(Number(found[i]), Number(expected[i])) ? worst : distance || Infinity;
  }
  return worst; // NaN where only one of them is NaN becomes infinity
}

await open(async (load) => {
  const model = await load();
  const results = [];
  const add = (endpoint, output, rows, worst, tolerance) => {
    const state = worst <= tolerance ? "pass" : "fail";
    results.push({ endpoint, output, rows, worst, state });
    byId("rows").append(element("tr", {}, ...[endpoint, output, rows, worst.toExponential(1), state].map((text) => element("td", { textContent: text }))));
  };
  for (const [name, options] of Object.entries(data.options)) {
    const rows = await golden(name);
    const worst = Object.fromEntries(rows.names.map((output) => [output, 0]));
    const inputs = Object.keys(model.inputs(name));
    for (let i = 0; i < rows.rows; i++) {
      const outputs = await model.call(name, Object.fromEntries(inputs.map((input) => [input, rows.input(input, i)])));
      for (const output of rows.names) worst[output] = Math.max(worst[output], difference(outputs[output], rows.output(output, i)));
    }
    for (const output of rows.names) add(name, output, rows.rows, worst[output], TOLERANCE);
    if (rows.texts.length) {
      const tokenizer = new Tokenizer(options);
      let largest = 0;
      for (const { text, scores } of rows.texts) {
        const outputs = await model.call(name, { [options.token]: ids(tokenizer, tokenizer.split(text), options.length) });
        largest = Math.max(largest, difference(outputs[options.scores], scores));
      }
      add(name, `${options.scores} of texts`, rows.texts.length, largest, TEXTS);
    }
  }
  const failed = results.filter(({ state }) => state === "fail");
  document.documentElement.dataset.state = failed.length ? "fail" : "pass";
  say(failed.length ? `This browser differs from Python in ${failed.length} of ${results.length} outputs.` : `This browser returns what Python returns: ${results.length} outputs, tolerance ${TOLERANCE}.`, failed.length ? () => location.reload() : null);
  if (failed.length) document.documentElement.dataset.state = "fail";
});

// `python -m export web --check` asks for the result.
if (location.hash === "#report") {
  await fetch(location.pathname, { method: "POST", body: JSON.stringify([document.documentElement.dataset.state, byId("status").textContent]) });
}
