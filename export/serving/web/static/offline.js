// Keep what the page has loaded, so that it works without a network after the first visit. Browsers allow that over
// HTTPS and on this machine.
export async function keep() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url));
    const { active } = await navigator.serviceWorker.ready;
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    active.postMessage([location.href, ...loaded].filter((url) => new URL(url).origin === location.origin));
  } catch {
    // the page works without
  }
}

if (document.readyState === "complete") keep();
else addEventListener("load", keep);
