export {
  type Alone,
  type AloneFacts,
  aloneFacts,
  asGoodAlone,
  betterAlone,
  leavesAtOne,
  networksAlone,
  neverPays,
  pointsAlone,
} from './alone.ts';
export type { Images } from './exit-sections.ts';
export {
  lossesBeyondNames,
  noTimeSaved,
  picturedSamples,
  type ReportFacts,
  reportFacts,
  unsteadyLatency,
} from './facts.ts';
export { isModelLine, lineOf, type ModelLine, modelLineFile } from './model-line.ts';
export { reportPage } from './page.ts';
