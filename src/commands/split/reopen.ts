/** What was compiled, opened to be lowered in parts. */
import type { Manifest } from '../../emit/manifest.ts';
import { policyOutdated } from '../../errors/index.ts';
import type { BakeOptions } from '../bake.ts';
import { modelFile } from '../hub-model.ts';
import { type Reopened, reopen } from '../reopen.ts';

/** Throws `policy-outdated`, and what `reopen` throws. */
export async function reopenToSplit(
  manifest: Manifest,
  { folder, model, first, externalDataFolder }: Omit<BakeOptions, 'at'> & { readonly model: string },
): Promise<Reopened> {
  if (manifest.policy === 'ensemble' && !manifest.policyFit?.parameters.rho)
    throw policyOutdated(folder, manifest.policy, 'rho');
  const file = await modelFile(model, manifest.source.file);
  return await reopen(folder, manifest, { model: file, first, externalDataFolder, session: {} });
}
