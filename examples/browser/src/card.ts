import { exits, type Result, split, type Where } from './package.ts';
import type { Answer } from './worker.ts';

const template = document.querySelector<HTMLTemplateElement>('#card')!;

/** `0.4567` → `45.7%`. */
export const percent = (share: number): string =>
  share.toLocaleString('en', { style: 'percent', minimumFractionDigits: 1 });

/** The first part of the track that the server runs; behind all of them where nothing is split. */
const FIRST_FAR = split ? exits.findIndex(({ id }) => id === split?.after) + 1 : exits.length + 1;

const WHERE: Readonly<Record<Where, string>> = {
  client: 'here',
  server: 'server',
  'client, server unreachable': 'here: server unreachable',
  'client, server refused': 'here: server refused',
};

const nameOf = ({ index, label = `class ${index}` }: Result): string => label;

/** A picture on the page, and what the model says about it. */
export class Card {
  readonly element: HTMLElement;
  readonly #truth: string | undefined;

  /** `truth` is the class of the picture, where it is known. */
  constructor(picture: HTMLElement, truth?: string) {
    this.element = template.content.firstElementChild!.cloneNode(true) as HTMLElement;
    this.element.prepend(picture);
    this.#truth = truth;
    const track = this.#find('.track');
    for (let stop = 0; stop <= exits.length; stop++) {
      const part = document.createElement('span');
      part.classList.toggle('far', stop >= FIRST_FAR);
      track.append(part);
    }
    for (const row of this.element.querySelectorAll<HTMLElement>('.of-split')) row.hidden = !split;
  }

  /** Whether the model is right, where that is known. */
  isRight(result: Result): boolean | undefined {
    return this.#truth === undefined ? undefined : nameOf(result) === this.#truth;
  }

  /** The first answer of a picture that goes on; `show` follows. */
  showFirst(result: Answer): void {
    this.#print(result, 'first');
    this.#find('.verdict').textContent = 'first answer, refining …';
    this.element.classList.add('early');
    this.element.classList.remove('wrong');
  }

  /** The answer at the point, and the first one, where that was another run's. */
  show(result: Answer, first?: Answer): void {
    this.#print(result, 'final');
    const isRight = this.isRight(result);
    this.#find('.verdict').textContent =
      isRight === undefined ? '' : isRight ? '✓ right' : `✗ wrong; true class: ${this.#truth}`;
    this.element.classList.toggle('wrong', isRight === false);
    this.element.classList.remove('early');
    this.#find('.before').hidden = !first;
    if (first) this.#say('.first', first.index, nameOf(first));
  }

  #print(result: Answer, stage: 'first' | 'final'): void {
    const { probability, exit, confidence, relativeCost, where, waitMs } = result;
    this.element.dataset.stage = stage;
    this.#find('.label').textContent = nameOf(result);
    this.#say('.probability', probability, percent(probability));
    this.#say('.exit', exit, exit < exits.length ? `exit ${exit + 1}` : 'the end');
    this.#say('.confidence', confidence, confidence.toFixed(3));
    this.#say('.cost', relativeCost, percent(relativeCost));
    if (where) this.#say('.where', where, WHERE[where]);
    this.#say('.wait', waitMs, `${waitMs.toFixed(0)} ms`);
    for (const [stop, part] of [...this.#find('.track').children].entries())
      part.classList.toggle('ran', stop <= exit);
  }

  /** The figure as text, and as it is for scripts. */
  #say(selector: string, value: number | string, text: string): void {
    const data: HTMLDataElement = this.#find(selector);
    data.value = String(value);
    data.textContent = text;
  }

  #find<E extends HTMLElement>(selector: string): E {
    return this.element.querySelector<E>(selector)!;
  }
}
