/** The page: pictures in; for each, what the model says, where it left and what that cost at the slider's point. */
import samples from 'virtual:samples';
import { Camera } from './camera.ts';
import { Card, percent } from './card.ts';
import { classify, type FirstAnswer, firstAnswer, loadModel, read } from './model.ts';
import { whenOffline } from './offline.ts';
import { defaultPoint, operatingPoints, preprocessing, split } from './package.ts';
import { serverNamed, showTraffic, stayed, watchNetwork } from './split.ts';
import type { Answer } from './worker.ts';

const find = <E extends HTMLElement = HTMLElement>(selector: string): E =>
  document.querySelector<E>(selector)!;
const slider = find<HTMLInputElement>('#point');
const files = find<HTMLInputElement>('#files');
const clear = find<HTMLButtonElement>('#clear');
const list = find('#cards');
const summary = find('#summary');

/** A picture that is looked at. */
interface Picture {
  readonly card: Card;
  readonly input: Float32Array;
  /** Of its file, to be revoked. */
  readonly url: string;
  said?: Said;
}

/** What the model said. */
interface Said {
  /** Operating point. */
  readonly at: string;
  readonly first: FirstAnswer;
  readonly result: Answer;
}

addEventListener('unhandledrejection', ({ reason }) => complain(`${reason}`));
await loadModel(split && serverNamed()).catch((error) => {
  summary.textContent = '';
  complain(`The model does not load. ${error}`);
  throw error;
});
const points = Object.keys(operatingPoints);

let pictures: Picture[] = [];
/** Counts what was asked of the model, so that answers to an older question are dropped. */
let asked = 0;

slider.max = String(points.length - 1);
slider.valueAsNumber = Math.max(points.indexOf(defaultPoint), 0);
slider.disabled = points.length === 1;
files.disabled = false;
slider.addEventListener('input', classifyAll);
files.addEventListener('change', () => {
  add([...files.files!]);
  files.value = '';
});
clear.addEventListener('click', () => {
  for (const { card, url } of pictures) {
    URL.revokeObjectURL(url);
    card.element.remove();
  }
  pictures = [];
  complain('');
  classifyAll();
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  add([...event.dataTransfer!.files]);
});
watchCamera();
if (split) watchNetwork(askAgainWhere);
whenOffline(() => {
  find('#offline').textContent = 'From now on, this page works without a network.';
});
await add(
  await Promise.all(samples.map(async ({ name, url }) => new File([await (await fetch(url)).blob()], name))),
  true,
);

/** `areNamed`: a picture's name is its class. */
async function add(chosen: readonly File[], areNamed = false): Promise<void> {
  const unreadable: string[] = [];
  for (const file of chosen) {
    try {
      const input = await read(file);
      const url = URL.createObjectURL(file);
      const card = new Card(imageOf(url, file.name), areNamed ? file.name : undefined);
      pictures.push({ card, input, url });
      list.append(card.element);
    } catch {
      unreadable.push(file.name);
    }
  }
  complain(unreadable.length > 0 ? `No picture that this browser reads: ${unreadable.join(', ')}` : '');
  await classifyAll();
}

function imageOf(url: string, name: string): HTMLImageElement {
  const image = new Image();
  image.src = url;
  image.alt = name;
  image.title = name;
  image.addEventListener('load', () => image.classList.toggle('small', image.naturalWidth < 128));
  return image;
}

/** Shows what the model says about every picture at the slider's point: all first answers, then those of pictures that go on. */
async function classifyAll(): Promise<void> {
  const question = ++asked;
  const at = points[slider.valueAsNumber]!;
  const { relativeCost, accuracy } = operatingPoints[at]!;
  slider.setAttribute('aria-valuetext', at);
  find('#point-name').textContent = at;
  find('#point-figures').textContent =
    `${percent(accuracy)} accurate${split ? ' with the server' : ''} at ${percent(relativeCost)} of the cost, measured on test data`;
  list.setAttribute('aria-busy', 'true');
  const goOn: { readonly picture: Picture; readonly first: FirstAnswer }[] = [];
  // Others may be added meanwhile.
  const asking = [...pictures];
  // One at a time: a model whose batch is fixed takes no more.
  for (const picture of asking.filter(({ said }) => said?.at !== at)) {
    const first = await firstAnswer(picture.input, at);
    if (question !== asked) return;
    if (first.isFinal) settle(picture, { at, first, result: first.result });
    else {
      picture.card.showFirst(first.result);
      goOn.push({ picture, first });
    }
  }
  for (const { picture, first } of goOn) {
    const result = await classify(picture.input, { at });
    if (question !== asked) return;
    settle(picture, { at, first, result });
  }
  if (split) await showTraffic();
  if (question !== asked) return;
  summarise(asking);
  clear.disabled = asking.length === 0;
  list.setAttribute('aria-busy', 'false');
}

/** Asks again about the pictures whose answers `isOutdated`. */
function askAgainWhere(isOutdated: (answer: Answer) => boolean): Promise<void> {
  for (const picture of pictures) if (picture.said && isOutdated(picture.said.result)) delete picture.said;
  return classifyAll();
}

function settle(picture: Picture, said: Said): void {
  picture.card.show(said.result, said.first.isFinal ? undefined : said.first.result);
  picture.said = said;
}

/** All have been answered at the slider's point. */
function summarise(answered: readonly Picture[]): void {
  const all = answered.map(({ card, said }) => ({ ...said!, isRight: card.isRight(said!.result) }));
  find('#price').textContent = '';
  if (all.length === 0) {
    summary.textContent = 'Choose pictures, or drop some here.';
    return;
  }
  const mean = (costs: readonly number[]) => costs.reduce((sum, cost) => sum + cost, 0) / all.length;
  const cost = mean(all.map(({ result }) => result.relativeCost));
  const [share, what] = split
    ? stayed(all.map(({ result }) => result))
    : [1 - cost, ` saved: on average, a picture costs ${percent(cost)} of the whole model.`];
  const large = document.createElement('data');
  large.value = String(share);
  large.textContent = percent(share);
  const known = all.filter(({ isRight }) => isRight !== undefined);
  const right = known.filter(({ isRight }) => isRight).length;
  summary.replaceChildren(
    large,
    what,
    known.length > 0 ? ` ${right} of ${known.length} answers are right.` : '',
  );
  const again = all.filter(({ first }) => !first.isFinal);
  if (again.length === 0) return;
  const extra = mean(again.map(({ first }) => first.result.relativeCost));
  find('#price').textContent =
    `First answers are drawn at once: for that, this page ran ${again.length} of ${all.length} pictures to their first exit, and then again from the beginning for the refined answer. ` +
    `On average, that is ${percent(extra)} of the whole model more, which is not counted above.`;
}

/** The camera's button, and its card: the first of the list while it is on. */
function watchCamera(): void {
  const button = find<HTMLButtonElement>('#camera');
  const video = find<HTMLTemplateElement>('#live').content.querySelector('video')!;
  const card = new Card(video);
  card.element.classList.add('live');
  // What the model sees, where that is the picture's centre.
  if (preprocessing.resize === null)
    video.style.aspectRatio = `${preprocessing.width} / ${preprocessing.height}`;

  const take = async (picture: ImageBitmap) => {
    const at = points[slider.valueAsNumber]!;
    const input = await read(picture);
    const first = await firstAnswer(input, at);
    if (first.isFinal) card.show(first.result);
    else {
      card.showFirst(first.result);
      card.show(await classify(input, { at }), first.result);
    }
    if (split) await showTraffic();
  };
  const camera = new Camera(video, take, (isOn) => {
    if (isOn) list.prepend(card.element);
    else card.element.remove();
    button.textContent = isOn ? 'Stop camera' : 'Start camera';
  });
  button.disabled = false;
  button.addEventListener('click', async () => {
    complain('');
    if (camera.isOn) return camera.stop();
    button.disabled = true;
    try {
      await camera.start();
    } catch (error) {
      complain((error as Error).message);
    } finally {
      button.disabled = false;
    }
  });
}

function complain(problem: string): void {
  find('#problem').textContent = problem;
}
