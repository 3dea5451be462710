// An image in, the probabilities of its classes out.
import { addExamples, ImageInput, isBlank } from "./image_input.js";
import { ask, best, byId, data, golden, open, showNothing, showScores, tensor } from "./ui.js";

open(async (load) => {
  const { image, scores } = data.options;
  const { meaning } = tensor("outputs", scores);
  const examples = await golden(data.endpoint.name);
  const input = new ImageInput(byId("input"), tensor("inputs", image), async (values) => {
    if (isBlank(values)) return showNothing("The image is blank: draw, choose a file, or take an example.");
    const outputs = await ask(await load(), data.endpoint.name, { [image]: values });
    showScores(outputs[scores], meaning);
  });
  addExamples(byId("examples"), tensor("inputs", image), examples, image, (values) => input.show(values), (i) => best(examples.output(scores, i), meaning));
  const first = Float32Array.from(examples.input(image, 0));
  if (!isBlank(first)) showScores(examples.output(scores, 0), meaning); // by Python, until the model is loaded
  await input.show(first);
});
