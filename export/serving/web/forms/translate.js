// Images in, images out: translation, reconstruction, style.
import { addExamples, ImageInput } from "./image_input.js";
import { ask, byId, data, element, golden, guarded, normal, open, paint, range, size, tensor } from "./ui.js";

open(async (load) => {
  const model = await load();
  const { images, noise, outputs } = data.options;
  const values = Object.fromEntries(noise.map((name) => [name, new Float32Array(size(tensor("inputs", name).shape))]));
  const canvases = outputs.map((name) => {
    const canvas = element("canvas"), text = name.replaceAll("_", " ");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Output ${text}`);
    byId("results").append(element("p", { textContent: text }), canvas);
    return canvas;
  });

  async function run() {
    if (images.some((name) => !values[name])) return;
    const results = await ask(model, data.endpoint.name, values);
    outputs.forEach((name, i) => {
      const output = tensor("outputs", name);
      paint(canvases[i], output.shape.slice(1), results[name], ...range(output));
    });
  }

  const inputs = images.map((name) => new ImageInput(byId("input"), tensor("inputs", name), (pixels) => {
    values[name] = pixels;
    return run();
  }));
  byId("again").hidden = !noise.length;
  byId("again").addEventListener("click", guarded(() => {
    for (const name of noise) values[name] = normal(size(tensor("inputs", name).shape));
    return run();
  }));
  byId("save").addEventListener("click", () => canvases[0].toBlob((blob) => {
    const link = element("a", { href: URL.createObjectURL(blob), download: `${outputs[0]}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  }));
  const examples = await golden(data.endpoint.name);
  const show = async (row) => {
    for (const [i, name] of images.entries()) await inputs[i].show(Float32Array.from(examples.input(name, row)));
  };
  addExamples(byId("examples"), tensor("inputs", images[0]), examples, images[0], (_, row) => show(row));
  await show(0);
});
