/** A sample's way through the parts of a model: each part runs the samples of many requests together, and those that stay unsure go on. */
import type { IncomingMessage } from 'node:http';
import { Batcher, type BatcherOptions, type Turns } from './batcher.ts';
import { PartMetrics } from './metrics.ts';
import type { Asked } from './protocol.ts';
import { inputOf, type ModelSpec, type Part } from './repository.ts';
import { gathered, rowsOf, type Tensors } from './tensors.ts';

/** The client of a request that is not worth answering any more. */
export class ClientHasLeft extends Error {}

export class ServedModel implements Asked {
  readonly name: string;
  readonly inputs: ModelSpec['inputs'];
  readonly outputs: ModelSpec['outputs'];
  readonly maxSamples: number;
  readonly metrics: readonly PartMetrics[];
  readonly #spec: ModelSpec;
  /** Whether samples of several requests may share a run. */
  readonly #isBatched: boolean;
  /** One a part. */
  readonly #batchers: readonly Batcher<Tensors, Tensors | Error>[];

  /** Models share `turns`. `maxSamples`: that a request may have. */
  constructor(spec: ModelSpec, options: BatcherOptions & { readonly maxSamples: number }, turns: Turns) {
    this.#spec = spec;
    this.name = spec.name;
    this.inputs = spec.inputs;
    this.outputs = spec.outputs;
    this.maxSamples = options.maxSamples;
    this.#isBatched = [...spec.inputs, ...spec.outputs].every(({ shape }) => shape[0] === -1) &&
      spec.inputs.every(({ shape }) => shape.lastIndexOf(-1) === 0); // biome-ignore format: one condition
    this.metrics = spec.parts.map(
      ({ network }, n) => new PartMetrics({ model: spec.name, part: String(n + 1), network }),
    );
    this.#batchers = spec.parts.map((part, n) => {
      const maxBatch = this.#isBatched ? options.maxBatch : 1;
      // Behind the first part samples wait for their turn only; whoever comes meanwhile comes along.
      const maxWaitMs = n === 0 ? options.maxWaitMs : 0;
      return new Batcher((rows) => this.#run(part, this.metrics[n]!, rows), { maxBatch, maxWaitMs }, turns);
    });
  }

  /** Samples that wait for a run. */
  get waiting(): number {
    return this.#batchers.reduce((sum, batcher) => sum + batcher.waiting, 0);
  }

  /** The outputs for the samples of `inputs`. Rejects with `ClientHasLeft` when `request` is no longer worth it. */
  async infer(inputs: Tensors, request: IncomingMessage): Promise<Tensors> {
    const rows = this.#isBatched ? rowsOf(inputs) : [inputs];
    // The last of them ends the request, whatever became of the first: until then it holds its places.
    const outcomes = await Promise.allSettled(rows.map((row) => this.#answer(row, request)));
    const answers = outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    });
    return gathered(answers, this.outputs.map(({ name }) => name)); // biome-ignore format: one line
  }

  /** From now on nobody waits for company. */
  hurry(): void {
    for (const batcher of this.#batchers) batcher.hurry();
  }

  async #answer(inputs: Tensors, request: IncomingMessage): Promise<Tensors> {
    const { parts, outputs, inPlay } = this.#spec;
    const exitIndex = outputs[1]?.name ?? '';
    let row = inputs;
    for (const [n, batcher] of this.#batchers.entries()) {
      if (request.socket.destroyed) throw new ClientHasLeft();
      const { result, waitedMs } = await batcher.submit(row);
      this.metrics[n]!.waitedSeconds += waitedMs / 1000;
      if (result instanceof Error) throw result;
      const next = parts[n + 1];
      if (!next || Number(result.get(exitIndex)!.data[0]) !== inPlay) return result;
      this.metrics[n]!.survivors++;
      row = new Map([...row, ...[...result].map(([name, tensor]) => [inputOf(name), tensor] as const)]);
    }
    return row;
  } // biome-ignore format: one line

  /** A result or an error for each of `rows`: where they cannot run together, one may be to blame, and each runs alone. */
  async #run(
    part: Part,
    metrics: PartMetrics,
    rows: readonly Tensors[],
  ): Promise<readonly (Tensors | Error)[]> {
    try {
      return await this.#runTogether(part, metrics, rows);
    } catch (error) {
      if (rows.length === 1) return [error as Error];
      const alone = [];
      for (const row of rows) alone.push(...(await this.#run(part, metrics, [row])));
      return alone;
    }
  }

  async #runTogether(part: Part, metrics: PartMetrics, rows: readonly Tensors[]): Promise<readonly Tensors[]> {
    const began = performance.now();
    const outputs = await part.session.infer(gathered(rows, part.inputs), part.constants, part.outputs);
    metrics.ran(rows.length, (performance.now() - began) / 1000);
    if (!this.#isBatched) return [outputs];
    for (const [name, { shape }] of outputs)
      if (shape[0] !== rows.length) throw new Error(`${part.network} gave ${shape[0]} rows of ${name} for ${rows.length} samples`);
    return rowsOf(outputs);
  } // biome-ignore format: one line
}
