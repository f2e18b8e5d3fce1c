import { scorePolicy } from './policy.ts';

/** The confidence head's own estimate that its branch is right. */
export const confidence = scorePolicy({
  citation: 'Lahiany & Aperstein 2022 (PTEENet), section 3; Demir & Akbas 2024 (EENet)',
  readsConfidence: true,
  nodes: (_, exit) => exit.confidence!,
  score: (exit) => exit.confidence,
});
