export { type CrossFit, crossFit, type Fold, type Searcher } from './cross-fit.ts';
export { type Guarantee, guarantee, type Promised, refuseTooFew } from './guarantee.ts';
export { isGuessing } from './guessing.ts';
export { measure } from './measure.ts';
export * from './operating-points.ts';
export { type Discordant, mcnemarPValue, pairedInterval } from './paired.ts';
export { type PolicySearchOptions, type SearchOptions, searchPolicy, searchThresholds } from './search.ts';
export { fitTemperature } from './temperature.ts';
export * from './types.ts';
