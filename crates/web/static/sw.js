// Opens the app without the network: the page and its programs come from a cache that is made whole or not at all.
// No message ever passes here; messages travel over the worker's sockets.
const BUILD = "{{build}}";
const FILES = {{files}};
const CACHE = `shell-${BUILD}`;

self.addEventListener("install", (event) => {
  const fill = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES);
    await cache.add("/app.json");
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

// The page: from the network if it answers soon, so that a new build is seen; else as it was.
const page = async (request) => {
  const cached = await caches.match("/", { cacheName: CACHE });
  try {
    return await fetch(request, { signal: AbortSignal.timeout(cached ? 2000 : 30000) });
  } catch (error) {
    if (cached) return cached;
    throw error;
  }
};

// What the server says about the app: fresh if possible, and kept.
const fresh = async (request) => {
  try {
    const answer = await fetch(request);
    if (answer.ok) await (await caches.open(CACHE)).put(request, answer.clone());
    return answer;
  } catch (error) {
    const cached = await caches.match(request, { cacheName: CACHE });
    if (cached) return cached;
    throw error;
  }
};

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (event.request.mode === "navigate") event.respondWith(page(event.request));
  else if (url.pathname === "/app.json") event.respondWith(fresh(event.request));
  else if (FILES.includes(url.pathname)) {
    event.respondWith(caches.match(url.pathname, { cacheName: CACHE }).then((cached) => cached ?? fetch(event.request)));
  }
});

// A click on a notification brings the app to the front; notifications carry no content.
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const show = async () => {
    const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    await (windows.length ? windows[0].focus() : self.clients.openWindow("/"));
  };
  event.waitUntil(show());
});
