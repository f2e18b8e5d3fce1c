import manifest from '../../package.json' with { type: 'json' };

/** Of this compiler; models and manifests name it. */
export const VERSION: string = manifest.version;
