/** Every error a user can meet, one function each, by what it is about. Codes are stable and kebab-case. */
export * from './errors/calibrate.ts';
export * from './errors/cli.ts';
export * from './errors/data.ts';
export * from './errors/emit.ts';
export { EXIT_CODES } from './errors/exit-codes.ts';
export * from './errors/graph.ts';
export { messageOf, OfframpError, shown, within } from './errors/offramp-error.ts';
export * from './errors/ort.ts';
export * from './errors/parser.ts';
export * from './errors/plan.ts';
export * from './errors/train.ts';
