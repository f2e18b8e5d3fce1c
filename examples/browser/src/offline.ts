/** Keeps the page for when there is no network, once it is built; `ready` is called when all of it is kept. */
export async function whenOffline(ready: () => void): Promise<void> {
  // Browsers have service workers only where the page comes over https, or from localhost.
  if (!import.meta.env.PROD || !navigator.serviceWorker) return;
  await navigator.serviceWorker.register('service-worker.js');
  await navigator.serviceWorker.ready;
  ready();
}
