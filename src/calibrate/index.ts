export { measure } from './measure.ts';
export * from './operating-points.ts';
export * from './scores.ts';
export { type SearchOptions, searchThresholds } from './search.ts';
export { fitTemperature } from './temperature.ts';
export * from './types.ts';
