// Answers requests for files of the site from a cache that pages fill. A site that is written again has another NAME.
const NAME = "$name";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(removeOthers()));

async function removeOthers() {
  const own = NAME.slice(0, NAME.lastIndexOf(" "));
  for (const other of await caches.keys()) if (other !== NAME && other.startsWith(own)) await caches.delete(other);
  await self.clients.claim();
}

self.addEventListener("message", (event) => event.waitUntil(keep(event.data)));

async function keep(urls) {
  const cache = await caches.open(NAME);
  for (const url of urls) if (!isAnswer(url) && !(await cache.match(url))) await cache.add(url).catch(() => undefined);
}

// What a server computes is never kept.
function isAnswer(url) {
  return new URL(url).pathname.startsWith("/v1/");
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin || isAnswer(request.url)) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(NAME);
  // a page asks with "reload" for a file that turned out to be damaged
  const kept = request.cache !== "reload" && (await cache.match(request));
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}
