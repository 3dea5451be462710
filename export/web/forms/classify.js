// A picture in, the probabilities of its classes out.
import { addExamples, Picture } from "./picture.js";
import { ask, byId, data, golden, open, showScores, tensor } from "./ui.js";

open(async (model) => {
  const { image, scores } = data.options;
  const picture = new Picture(byId("picture"), tensor("inputs", image), async (values) => {
    const outputs = await ask(model, data.endpoint.name, { [image]: values });
    showScores(outputs[scores], tensor("outputs", scores).meaning);
  });
  const examples = await golden(data.endpoint.name);
  addExamples(byId("examples"), examples.rows, (row) => picture.show(Float32Array.from(examples.input(image, row))));
  await picture.show(Float32Array.from(examples.input(image, 0)));
});
