/** Every error a user can meet, one function each, by what it is about. Codes are stable and kebab-case. */
export * from './adapter.ts';
export * from './calibrate.ts';
export * from './cli.ts';
export * from './data.ts';
export * from './emit.ts';
export { EXIT_CODES } from './exit-codes.ts';
export * from './graph.ts';
export * from './hub.ts';
export * from './model.ts';
export * from './networks.ts';
export { messageOf, OfframpError, ofNetwork, shown, within } from './offramp-error.ts';
export { option, optionFields, optionText } from './option.ts';
export * from './ort.ts';
export * from './parser.ts';
export * from './plan.ts';
export * from './scores.ts';
export * from './students.ts';
export * from './train.ts';
