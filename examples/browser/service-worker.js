/**
 * Answers from files that were kept when the page first came, so that it works without a network. `FILES`, and `HASH` of what is in
 * them, are put in front of this by offline.ts: with other files it is another worker, which takes over when all tabs with the old
 * page are closed, so that no page has files of two versions.
 */
/* global FILES, HASH */

// By scope: pages of one host share their caches, those of https://name.github.io too.
const MINE = `offramp ${self.registration.scope} `;
const CACHE = MINE + HASH;
const KEPT = new Set(FILES.map((file) => new URL(file, self.registration.scope).href));

self.addEventListener('install', (event) => {
  // 'no-cache' asks the host: the browser may hold an older index.html, which names files that are gone.
  const requests = FILES.map((file) => new Request(file, { cache: 'no-cache' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener('activate', (event) => {
  const forget = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith(MINE) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
  };
  event.waitUntil(forget());
});

self.addEventListener('fetch', (event) => {
  const { origin, pathname } = new URL(event.request.url);
  // What a server is asked, that of a split for instance, is none of the business of this one.
  if (!KEPT.has(origin + pathname)) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    // Hosts may say `Vary: Origin`, but a file is the same for everyone.
    const alike = { ignoreSearch: true, ignoreVary: true };
    return (await cache.match(event.request, alike)) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
