// An image in, the probabilities of its classes out.
import { addExamples, ImageInput } from "./image_input.js";
import { ask, byId, data, golden, open, showScores, tensor } from "./ui.js";

open(async (model) => {
  const { image, scores } = data.options;
  const input = new ImageInput(byId("input"), tensor("inputs", image), async (values) => {
    const outputs = await ask(model, data.endpoint.name, { [image]: values });
    showScores(outputs[scores], tensor("outputs", scores).meaning);
  });
  const examples = await golden(data.endpoint.name);
  addExamples(byId("examples"), examples.rows, (row) => input.show(Float32Array.from(examples.input(image, row))));
  await input.show(Float32Array.from(examples.input(image, 0)));
});
