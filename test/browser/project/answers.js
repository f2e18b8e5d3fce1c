/** What the package says about each picture, at every operating point: the same code in Node and in the browser. */
import { Model } from './model.js';

export async function answersTo(pictures, ort) {
  const model = await Model.load(ort);
  const answers = {};
  for (const at of Object.keys(model.operatingPoints)) {
    const results = await model.classify(pictures, { at });
    answers[at] = results.map(({ index, label = index, exit, probability, confidence }) => ({
      label,
      exit,
      probability,
      confidence,
    }));
  }
  await model.release();
  return answers;
}
