// A text in, the probabilities of its classes out, and the words that weigh: each is left out once.
import { ids, Tokenizer } from "./tokenizer.js";
import { ask, byId, data, element, golden, guarded, label, open, probabilities, showScores, tensor } from "./ui.js";

const WAIT = 300; // milliseconds after the last key
const SHOWN = 8; // words

open(async (load) => {
  const { token, scores, length } = data.options;
  const { meaning } = tensor("outputs", scores);
  const tokenizer = new Tokenizer(data.options);
  const example = (await golden(data.endpoint.name)).texts.find(({ text }) => tokenizer.split(text).length > 2);
  byId("text").value = example?.text ?? "";
  if (example) showScores(example.scores, meaning); // by Python, until the model is loaded
  const model = await load();
  let version = 0;

  async function run() {
    const mine = ++version;
    const words = tokenizer.split(byId("text").value).slice(0, length);
    const call = async (some) => (await ask(model, data.endpoint.name, { [token]: ids(tokenizer, some, length) }))[scores];
    const values = showScores(await call(words), meaning);
    const best = values.indexOf(Math.max(...values));
    byId("explanation").textContent = words.length ? `Of ${label(best)}:` : "The text has no word.";
    const effects = [];
    for (let i = 0; i < words.length; i++) {
      const without = probabilities(await call(words.filter((_, j) => j !== i)), meaning)[best];
      if (mine !== version) return; // the text has changed meanwhile
      effects.push({ word: words[i], effect: without - values[best], known: tokenizer.knows(words[i]) });
    }
    effects.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
    byId("words").replaceChildren(...effects.slice(0, SHOWN).map(({ word, effect, known }) => element(
      "tr", {},
      element("th", { scope: "row", textContent: known ? word : `${word} (unknown)` }),
      element("td", { textContent: `${effect > 0 ? "+" : ""}${(100 * effect).toFixed(1)} %` }),
    )));
  }

  let timer = 0;
  byId("text").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(guarded(run), WAIT);
  });
  await run();
});
