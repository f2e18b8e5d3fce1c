/** Where the original bytes of decoded elements are remembered: by the identity of the (immutable) element. */

const sources = new WeakMap<object, Uint8Array>();

/** Remembers that `element` was decoded from `bytes`. */
export function rememberSource<T extends object>(element: T, bytes: Uint8Array): T {
  sources.set(element, bytes);
  return element;
}

/** The bytes `element` was decoded from; undefined when it was made or changed since. */
export const sourceBytes = (element: object): Uint8Array | undefined => sources.get(element);
