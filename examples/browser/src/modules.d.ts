/** The modules that vite.config.ts finds or makes, and what Vite says about itself. */

/** A package that `npx onnx-offramp compile` wrote; src/package.ts says what is used of it. */
declare module 'compiled-package';

declare module 'virtual:samples' {
  const samples: readonly { readonly name: string; readonly url: string }[];
  export default samples;
}

interface ImportMeta {
  readonly env: { readonly PROD: boolean; readonly OFFRAMP_SERVER?: string };
}
