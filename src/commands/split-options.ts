/** What `split` may be asked. */
import type { BakeOptions } from './bake.ts';

/** Bits of a number of the features that travel; 32: as they are. */
export const BITS = [8, 16, 32] as const;
export type Bits = (typeof BITS)[number];

/** What of a picture travels: its pixels, or the numbers that the model makes of them. */
export const SENDS = ['pixels', 'tensor'] as const;
export type Send = (typeof SENDS)[number];

export interface SplitOptions extends Omit<BakeOptions, 'at' | 'model'> {
  /** Path of the original, or of its folder. */
  readonly model: string;
  /** The folder to write. */
  readonly out: string;
  /** Id of the last exit of the client. Without it there is no client, and all is for the server. */
  readonly after?: string;
  /** Names of the operating points to serve; all of them by default. */
  readonly at?: readonly string[];
  /** Bits of a number of the features that travel, of a cut inside a network: 32 by default, which changes nothing. */
  readonly bits?: Bits;
  /** `pixels` by default where the package says how pictures become its input, else `tensor`. */
  readonly send?: Send;
  /** Samples that the scales of 8 bits are fitted on; client and server are compared with the whole on them. */
  readonly calibration?: string;
  /** Samples that the loss of 8 and 16 bits is measured on; `calibration` by default. */
  readonly test?: string;
  /** What names of served models begin with; the package's name, or the source file's, by default. */
  readonly name?: string;
  readonly skipBad?: boolean;
  /** `none`: the package's own answers are the labels; so too when compile had none. */
  readonly labels?: 'none';
  /** A tokenizer.json, where data are text; the package's own by default. */
  readonly tokenizer?: string;
  readonly cache?: string;
  readonly threads?: number;
  /** Replace what `split` wrote there. */
  readonly force?: boolean;
}
