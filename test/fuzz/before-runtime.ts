/** All that happens to a file before ONNX Runtime sees it, and what must hold whatever the file is. */
import { realpathSync } from 'node:fs';
import { join, sep } from 'node:path';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { printModel } from '../../src/graph/print.ts';
import { inputSlots } from '../../src/model/random-inputs.ts';
import { loadModel, parseModel, serializeModel } from '../../src/parser/index.ts';
import { exposeValues } from '../../src/passes/expose-values.ts';
import { runPasses } from '../../src/passes/pass.ts';

const LONGEST_MESSAGE = 4000;

/**
 * Takes the model at `path` as far as the door of ONNX Runtime. Returns `accepted`, or the code of the error that refused it;
 * throws whatever should not have happened.
 */
export async function beforeRuntime(path: string): Promise<string> {
  try {
    const { model, bytes, folder, externalFiles } = await loadModel(path);
    for (const file of externalFiles)
      assert.ok(realpathSync(join(folder, file)).startsWith(folder + sep), `read outside: ${file}`);
    // Not what was loaded, whose nodes may have been sorted.
    assert.ok(
      Buffer.compare(serializeModel(parseModel(bytes)), bytes) === 0,
      'untouched, it is not the file',
    );
    const { graph } = model;
    const anew = serializeModel({ ...model, graph: { ...graph, nodes: graph.nodes.map((n) => ({ ...n })) } });
    assert.is(printModel(parseModel(anew)), printModel(model), 'nodes written anew say something else');
    serializeModel({ ...model, graph: runPasses(graph, [exposeValues]) });
    inputSlots(model, {});
    return 'accepted';
  } catch (error) {
    return codeOf(error);
  }
}

/** The code of a refusal; throws `error` again when it is none, or not one that was meant. */
export function codeOf(error: unknown): string {
  if (!(error instanceof OfframpError)) throw error;
  for (const text of [error.message, error.hint]) {
    assert.ok(text.length <= LONGEST_MESSAGE, `a message of ${text.length} characters`);
    assert.not.match(text, /[^\P{Cc}\n\t]/u, 'control characters in a message');
    assert.not.match(text, /report it/, 'a fault of Offramp, it says');
  }
  // To run off the end of a field is the file's fault; whatever else was caught and given a code is ours.
  const { cause, code } = error;
  if (code === 'malformed-file' && cause instanceof Error && !isReadersOwn(cause)) throw cause;
  return code;
}

const isReadersOwn = (cause: Error) =>
  cause.name === 'Error' || (cause.name === 'RangeError' && cause.message.startsWith('index out of range'));
