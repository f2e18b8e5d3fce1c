/** A student as a network of a chain. */
import type { InputSpec, Preprocessing } from '../data/index.ts';
import { opsetOf } from '../graph/types.ts';
import type { Inspected } from '../model/inspect.ts';
import type { Grown, Network } from '../networks/chain.ts';
import { openFirst } from '../networks/open-first.ts';
import type { SessionOptions } from '../ort/session.ts';
import { readModel, serializeModel } from '../parser/index.ts';
import { endExit } from '../passes/end-exit.ts';
import type { Head } from '../passes/exits.ts';
import type { Student } from '../students/student.ts';
import { studentModel } from '../students/student-model.ts';

/** What `openStudent` needs to know of the original. */
export interface StudentReader {
  /** Base name of its file. */
  readonly file: string;
  readonly inspection: Inspected;
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
}

/**
 * `student` as the network `id` of the chain that `original` ends, with its inner exits and one at its end: read from what would be its file, as any network
 * in front is. `share`: what it was sized for; `training`: how it was trained, if it is.
 */
export async function openStudent(
  student: Student,
  id: string,
  original: StudentReader,
  session: SessionOptions,
  { share, training }: Pick<Grown, 'share' | 'training'>,
): Promise<Network> {
  const { typed, source } = original.inspection;
  const { channels, ...numbers } = original.preprocessing;
  const opset = opsetOf(typed.model);
  const file = `${id}.onnx`;
  const { inspection: _, ...opened } = await openFirst(
    { model: file, ...numbers, ...(channels !== 'any' && { channels }) },
    {
      id,
      file,
      source: await readModel(file, serializeModel(studentModel(student, opset))),
      original: { ...original, options: {}, typed, source },
      opset,
      session,
      taps: student.exits.map(({ value }) => value),
    },
  );
  const inner = student.exits.map(({ kind, head, headMacs }, i): Head => {
    return { exit: opened.plan.exits[i]!, kind, graph: head, macs: headMacs };
  });
  const exits = student.exits.length + 1;
  const { family, width, depth } = student.form;
  const form = { family, width, depth, ...(exits > 1 && { exits }) };
  const grown = { share, ...form, ...(training && { training }) };
  return {
    ...opened,
    reading: { ...opened.reading, grown },
    heads: [...inner, endExit(opened.plan, { id: '', network: 0 })],
  };
}
