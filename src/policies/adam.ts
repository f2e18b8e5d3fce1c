/** Adam (Kingma & Ba 2015, algorithm 1), one vector at a time. */
export class Adam {
  private readonly first: Float64Array;
  private readonly second: Float64Array;
  private steps = 0;

  constructor(size: number) {
    this.first = new Float64Array(size);
    this.second = new Float64Array(size);
  }

  /** Moves `theta` against `gradient`. */
  step(theta: Float64Array, gradient: Float64Array, rate: number): void {
    const { first, second } = this;
    this.steps++;
    const [ofFirst, ofSecond] = [1 - 0.9 ** this.steps, 1 - 0.999 ** this.steps];
    for (let at = 0; at < theta.length; at++) {
      first[at] = 0.9 * first[at]! + 0.1 * gradient[at]!;
      second[at] = 0.999 * second[at]! + 0.001 * gradient[at]! ** 2;
      theta[at]! -= (rate * (first[at]! / ofFirst)) / (Math.sqrt(second[at]! / ofSecond) + 1e-8);
    }
  }
}
