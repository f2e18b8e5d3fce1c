/** The page: pictures in; for each, what the model says, where it left and what that cost at the slider's point. */
import samples from 'virtual:samples';
import { Card, percent } from './card.ts';
import { defaultPoint, loadModel, preprocess, type Result } from './package.ts';
import { readPicture } from './picture.ts';

const find = <E extends HTMLElement = HTMLElement>(selector: string): E =>
  document.querySelector<E>(selector)!;
const slider = find<HTMLInputElement>('#point');
const files = find<HTMLInputElement>('#files');
const clear = find<HTMLButtonElement>('#clear');
const list = find('#cards');
const summary = find('#summary');

addEventListener('unhandledrejection', ({ reason }) => complain(`${reason}`));
const model = await loadModel().catch((error) => {
  summary.textContent = '';
  complain(`The model does not load. ${error}`);
  throw error;
});
const points = Object.entries(model.operatingPoints);

let cards: Card[] = [];
/** Counts what was asked of the model, so that answers to an older question are dropped. */
let asked = 0;

slider.max = String(points.length - 1);
slider.valueAsNumber = Math.max(
  points.findIndex(([name]) => name === defaultPoint),
  0,
);
slider.disabled = points.length === 1;
files.disabled = false;
slider.addEventListener('input', classifyAll);
files.addEventListener('change', () => {
  add([...files.files!]);
  files.value = '';
});
clear.addEventListener('click', () => {
  for (const card of cards) card.remove();
  cards = [];
  complain('');
  classifyAll();
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  add([...event.dataTransfer!.files]);
});
add(
  await Promise.all(samples.map(async ({ name, url }) => new File([await (await fetch(url)).blob()], name))),
);

async function add(chosen: readonly File[]): Promise<void> {
  const unreadable: string[] = [];
  for (const file of chosen) {
    try {
      cards.push(new Card(preprocess(await readPicture(file)), file));
    } catch {
      unreadable.push(file.name);
    }
  }
  complain(unreadable.length > 0 ? `No picture that this browser reads: ${unreadable.join(', ')}` : '');
  await classifyAll();
}

/** Shows what the model says about every picture at the slider's point. */
async function classifyAll(): Promise<void> {
  const question = ++asked;
  const [at, { relativeCost, accuracy }] = points[slider.valueAsNumber]!;
  slider.setAttribute('aria-valuetext', at);
  find('#point-name').textContent = at;
  find('#point-figures').textContent =
    `${percent(accuracy)} accurate at ${percent(relativeCost)} of the cost, measured on test data`;
  list.setAttribute('aria-busy', 'true');
  const asking = [...cards];
  const results: Result[] = [];
  // One at a time: a model whose batch is fixed takes no more.
  for (const { input } of asking) {
    results.push((await model.classify(input, { at }))[0]);
    if (question !== asked) return;
  }
  for (const [i, card] of asking.entries()) card.show(results[i]!);
  list.replaceChildren(...asking.map(({ element }) => element));
  summarise(results);
  clear.disabled = results.length === 0;
  list.setAttribute('aria-busy', 'false');
}

function summarise(results: readonly Result[]): void {
  if (results.length === 0) {
    summary.textContent = 'Choose pictures, or drop some here.';
    return;
  }
  const cost = results.reduce((sum, { relativeCost }) => sum + relativeCost, 0) / results.length;
  const saved = document.createElement('data');
  saved.value = String(1 - cost);
  saved.textContent = percent(1 - cost);
  summary.replaceChildren(saved, ` saved: on average, a picture costs ${percent(cost)} of the whole model.`);
}

function complain(problem: string): void {
  find('#problem').textContent = problem;
}
