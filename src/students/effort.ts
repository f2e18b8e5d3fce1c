/** How much is grown: numbers of networks and epochs, so that what comes out does not depend on clocks. */

export const EFFORTS = ['low', 'medium', 'high'] as const;
export type Effort = (typeof EFFORTS)[number];

interface HowMuch {
  /** Shares of the original's MACs, a student each. */
  readonly shares: readonly number[];
  /** Passes over the training samples, each student's. */
  readonly epochs: number;
}

/** bench/students.md has what each brings. */
export const EFFORT: Readonly<Record<Effort, HowMuch>> = {
  low: { shares: [], epochs: 0 },
  medium: { shares: [0.1], epochs: 40 },
  high: { shares: [0.1, 0.22], epochs: 60 },
};

/** Below so many training samples a student learns too little to be worth it, unless it is asked for. */
export const LEAST_SAMPLES = 5000;
/** Below so many MACs there is little to save. */
export const LEAST_MACS = 4e6;
/** Students that nobody asked for are at most this share of the original: what they cost is paid by samples that go on, too. */
export const LARGEST_SHARE = 0.3;
