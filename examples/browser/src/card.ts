import { exits, type Result } from './package.ts';

const template = document.querySelector<HTMLTemplateElement>('#card')!;

/** `0.4567` → `45.7%`. */
export const percent = (share: number): string =>
  share.toLocaleString('en', { style: 'percent', minimumFractionDigits: 1 });

/** A picture on the page, and what the model said about it. */
export class Card {
  readonly element: HTMLElement;
  /** The picture as `classify` takes it. */
  readonly input: Float32Array;
  readonly #image: HTMLImageElement;
  readonly #track: HTMLElement;

  constructor(input: Float32Array, file: File) {
    this.element = template.content.firstElementChild!.cloneNode(true) as HTMLElement;
    this.input = input;
    this.#image = this.#find('img');
    this.#image.src = URL.createObjectURL(file);
    this.#image.alt = file.name;
    this.#image.addEventListener('load', () => {
      this.#image.classList.toggle('small', this.#image.naturalWidth < 128);
    });
    this.#image.title = file.name;
    this.#track = this.#find('.track');
    for (let stop = 0; stop <= exits.length; stop++) this.#track.append(document.createElement('span'));
  }

  show({ index, label = `class ${index}`, probability, exit, confidence, relativeCost }: Result): void {
    this.#find('.label').textContent = label;
    this.#say('.probability', probability, percent(probability));
    this.#say('.exit', exit, exit < exits.length ? `exit ${exit + 1}` : 'the end');
    this.#say('.confidence', confidence, confidence.toFixed(3));
    this.#say('.cost', relativeCost, percent(relativeCost));
    for (const [stop, part] of [...this.#track.children].entries())
      part.classList.toggle('ran', stop <= exit);
  }

  remove(): void {
    URL.revokeObjectURL(this.#image.src);
    this.element.remove();
  }

  /** The figure as text, and as it is for scripts. */
  #say(selector: string, value: number, text: string): void {
    const data: HTMLDataElement = this.#find(selector);
    data.value = String(value);
    data.textContent = text;
  }

  #find<E extends HTMLElement>(selector: string): E {
    return this.element.querySelector<E>(selector)!;
  }
}
