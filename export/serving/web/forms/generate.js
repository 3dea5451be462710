// A prompt in, its continuation out: one token at a time, the state of one step passed to the next.
import { Tokenizer } from "./tokenizer.js";
import { ask, byId, data, guarded, open, say, size, softmax, tensor } from "./ui.js";

const PAUSE = 16; // tokens between which the page may draw and take keys

function choose(logits, temperature) {
  if (temperature === 0) return logits.indexOf(Math.max(...logits));
  const weights = softmax(Array.from(logits, (value) => value / temperature));
  let rest = Math.random();
  return Math.max(0, weights.findIndex((weight) => (rest -= weight) < 0));
}

open(async (load) => {
  const model = await load();
  const { token, scores, states, vocabulary } = data.options;
  const tokenizer = new Tokenizer(data.options);
  const isProbability = tensor("outputs", scores).meaning === "probabilities";
  let version = 0;

  async function write() {
    const mine = ++version;
    const prompt = byId("prompt").value;
    const temperature = byId("temperature").valueAsNumber;
    const count = byId("count").valueAsNumber || 0;
    let state = Object.fromEntries(Object.keys(states).map((name) => [name, new Float32Array(size([1, ...tensor("inputs", name).shape.slice(1)]))]));
    let logits = null;
    const step = async (id) => {
      const outputs = await ask(model, data.endpoint.name, { ...state, [token]: [id] });
      state = Object.fromEntries(Object.entries(states).map(([name, next]) => [name, outputs[next]]));
      logits = isProbability ? outputs[scores].map(Math.log) : outputs[scores];
    };
    const known = tokenizer.ids(prompt);
    for (const id of known.length ? known : [Math.max(0, vocabulary.indexOf("\n"))]) await step(id);
    byId("text").textContent = prompt;
    say("Writing.");
    for (let i = 0; i < count && mine === version; i++) {
      const id = choose(logits, temperature);
      byId("text").append(vocabulary[id]);
      await step(id);
      if (i % PAUSE === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    if (mine === version) say("Written.");
  }

  const show = () => { byId("shown").textContent = byId("temperature").value; };
  byId("temperature").addEventListener("input", show);
  byId("write").addEventListener("click", guarded(write));
  byId("stop").addEventListener("click", () => { version++; say("Stopped."); });
  show();
  byId("prompt").value = "The ";
  await write();
});
