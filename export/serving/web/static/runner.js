// The page that run_browser.py opens: takes calls from its server and posts the outputs, as JSON and base64.
import { decodeBase64, message } from "./arrays.js";
import { load } from "./model.js";

const models = new Map();
const accelerator = new URLSearchParams(location.search).get("accelerator") ?? "wasm";
let messages = []; // of LiteRT.js, which writes to the console what a GPU refuses
for (const level of ["debug", "log", "info", "warn", "error"]) {
  console[level] = (...values) => messages.push(values.join(" "));
}

async function answer({ model, endpoint, inputs }) {
  if (!models.has(model)) models.set(model, await load(`/models/${model}`, null, accelerator));
  if (!endpoint) return { outputs: {}, endpoints: Object.keys(models.get(model).compiled.signatures) };
  const values = Object.entries(inputs).map(([name, { dtype, data }]) => [name, decodeBase64(dtype, data)]);
  const outputs = await models.get(model).call(endpoint, Object.fromEntries(values));
  return { outputs: Object.fromEntries(Object.entries(outputs).map(([name, array]) => [name, encode(array)])) };
}

function encode(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return { dtype: array.constructor.name.replace("Array", "").replace("Big", "").toLowerCase(), data: btoa(text) };
}

for (;;) {
  const call = await (await fetch("/next")).json();
  let result;
  try {
    result = await answer(call);
  } catch (error) {
    result = { error: message(error) };
  }
  await fetch("/result", { method: "POST", body: JSON.stringify({ ...result, messages: messages.join("\n") }) });
  messages = [];
}
