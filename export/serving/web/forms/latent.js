// A latent vector in, and perhaps a class; an image out.
import { ask, byId, data, element, guarded, label, normal, open, paint, range, size, tensor } from "./ui.js";

const SLIDERS = 8, STEP = 0.25, LARGEST = 3;

open(async (load) => {
  const model = await load();
  const { vector, others, output, ids } = data.options;
  const length = size(tensor("inputs", vector).shape);
  const rest = Object.fromEntries(others.map((name) => [name, new Float32Array(size(tensor("inputs", name).shape))]));
  const directions = [normal(length), normal(length)].map((v) => v.map((x) => x / Math.hypot(...v)));
  let point = normal(length);

  const selects = ids.map((name) => {
    const choices = Array.from({ length: tensor("inputs", name).high + 1 }, (_, i) => i);
    const options = choices.map((i) => element("option", { value: i, textContent: label(i) }));
    const select = element("select", { onchange: guarded(() => run()) }, ...options);
    byId("sliders").append(element("label", {}, name.replace(/_id$/, ""), select));
    return [name, select];
  });

  const sliders = Array.from({ length: Math.min(SLIDERS, length) }, (_, i) => {
    const slider = element("input", { type: "range", min: -LARGEST, max: LARGEST, step: 0.05 });
    slider.addEventListener("input", guarded(() => { point[i] = slider.valueAsNumber; return run(); }));
    byId("sliders").append(element("label", {}, `Number ${i + 1}`, slider));
    return slider;
  });

  async function run() {
    sliders.forEach((slider, i) => { slider.value = point[i]; });
    const chosen = Object.fromEntries(selects.map(([name, select]) => [name, [Number(select.value)]]));
    const results = await ask(model, data.endpoint.name, { ...rest, ...chosen, [vector]: point });
    const image = tensor("outputs", output);
    paint(byId("result"), image.shape.slice(1), results[output], ...range(image));
  }

  const jump = guarded((to) => { point = to; return run(); });
  const move = (direction, sign) => jump(point.map((x, i) => x + sign * STEP * direction[i]));
  const keys = {
    ArrowLeft: () => move(directions[0], -1), ArrowRight: () => move(directions[0], 1),
    ArrowUp: () => move(directions[1], 1), ArrowDown: () => move(directions[1], -1),
    r: () => jump(normal(length)), R: () => jump(normal(length)),
  };
  byId("result").addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("random").addEventListener("click", () => jump(normal(length)));
  byId("zero").addEventListener("click", () => jump(new Float32Array(length)));
  await run();
});
