/** Of training graphs, training, and features. */
import { OfframpError } from './offramp-error.ts';
import { option, optionText } from './option.ts';

export const noShapeRule = (opType: string, node: string) =>
  new OfframpError(
    'no-shape-rule',
    `no shape rule for op ${opType} (node "${node}")`,
    'Heads and losses may use the ops listed in src/graph/infer.ts; add a rule there for another.',
  );

export const shapeNotStatic = (value: string) =>
  new OfframpError(
    'shape-not-static',
    `the shape or content of value ${value} is not known beforehand`,
    'Bind symbolic dims to numbers first (bindDims), and keep shapes, axes and indices constant.',
  );

export const shapeMismatch = (where: string, shapes: readonly (readonly number[])[]) =>
  new OfframpError(
    'shape-mismatch',
    `shapes ${shapes.map((s) => `[${s.join(', ')}]`).join(' and ')} do not fit together (node "${where}")`,
    'The graph is not valid at these dims.',
  );

export const noGradientRule = (opType: string, node: string, input?: string) =>
  new OfframpError(
    'no-gradient-rule',
    `no gradient rule for op ${opType} (node "${node}")${input ? ` with respect to its input ${input}` : ''}`,
    'Trainable graphs may use the ops listed in src/autodiff/vjps.ts; put an Identity named stop_gradient… before this one, or add a rule.',
  );

export const gradientMisshapen = (
  opType: string,
  node: string,
  input: string,
  found: { readonly dataType: string; readonly dims: readonly number[] },
  expected: readonly number[],
) =>
  new OfframpError(
    'gradient-misshapen',
    `the gradient rule of op ${opType} (node "${node}") gives ${found.dataType} [${found.dims.join(', ')}] for input ${input}, which is float [${expected.join(', ')}]`,
    'Mend the rule in src/autodiff/vjps.ts.',
  );

export const lossNotScalar = (loss: string, fact: string) =>
  new OfframpError(
    'loss-not-scalar',
    `cannot differentiate ${loss}: it is ${fact}, not one float`,
    'Reduce it to one element (ReduceMean) first.',
  );

export const noPathToLoss = (name: string, loss: string) =>
  new OfframpError(
    'no-path-to-loss',
    `${loss} does not depend on ${name} in a differentiable way`,
    'Leave it out of the trained parameters, or check where the gradient stops.',
  );

export const notAParameter = (name: string, why: string) =>
  new OfframpError(
    'not-a-parameter',
    `${name} cannot be trained: ${why}`,
    'Name float initializers of the head.',
  );

export const cannotHead = (kind: string, dims: readonly number[]) =>
  new OfframpError(
    'cannot-head',
    `a ${kind} head takes [F], [L, D] or [C, H, W] a sample, not [${dims.join(', ')}]`,
    'Place the exit at another tap: `npx onnx-offramp inspect` lists them with their shapes.',
  );

export const trainingDiverged = (exit: string, step: number, learningRate: number) =>
  new OfframpError(
    'training-diverged',
    `the loss of ${exit} became NaN or infinite at step ${step} (learning rate ${learningRate})`,
    'Lower `learningRate`, or check the data for NaN (a wrong `scale` or `std`, say).',
  );

/** Of a student, whose learning rate nobody sets. */
export const studentDiverged = (step: number, learningRate: number) =>
  new OfframpError(
    'training-diverged',
    `the loss of the student grew beyond all bounds again at step ${step}, with half the learning rate (${learningRate})`,
    `Check the data for NaN and for huge values (a wrong ${option('scale')} or ${option('std')}, say), or train heads alone: ${optionText('effort', 'low')}.`,
  );

export const workerEnded = (exitCode: number) =>
  new OfframpError(
    'worker-ended',
    `a training thread ended early (exit code ${exitCode})`,
    'Most likely memory ran out: train with a smaller `batch`, or with `threads: 1`.',
  );

export const featuresDiffer = (folder: string, differences: readonly string[]) =>
  new OfframpError(
    'features-differ',
    `the features in ${folder} are of something else: ${differences.join('; ')}`,
    'Give the same model, data and options as to `npx onnx-offramp features`, or make features of these in another folder.',
  );

export const featuresDamaged = (path: string) =>
  new OfframpError(
    'features-damaged',
    `${path} is not what was written`,
    'Merge the shards again: `npx onnx-offramp features merge` writes anew what is damaged.',
  );

export const badShard = (problem: string, hint: string) => new OfframpError('bad-shard', problem, hint);

export const notMerged = (folder: string) =>
  new OfframpError(
    'features-not-merged',
    `${folder} holds no merged features`,
    `Make every shard with \`npx onnx-offramp features\`, then run \`npx onnx-offramp features merge ${folder}\`.`,
  );

export const noShards = (folder: string) =>
  new OfframpError(
    'no-shards',
    `${folder} holds no shards of features`,
    'Give the folder that `npx onnx-offramp features` wrote to.',
  );

export const shardsMixed = (folder: string, count: number, other: number) =>
  new OfframpError(
    'shards-mixed',
    `${folder} holds shards of ${count} and shards of ${other}`,
    'Delete the folders of one of the two.',
  );

export const shardsUnusable = (folder: string, problems: readonly string[]) =>
  new OfframpError(
    'shards-unusable',
    `the shards in ${folder} do not make a whole: ${problems.join(', ')}`,
    'Run `npx onnx-offramp features` again for each of these shards (what is whole of them is kept; delete what is of something else), then merge.',
  );
