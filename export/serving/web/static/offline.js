// Keep what the page has loaded, so that it works without a network after the first visit. Browsers allow that over
// HTTPS and on this machine.
export async function keep() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url));
    const { active } = await navigator.serviceWorker.ready;
    const send = (urls) => active.postMessage(urls.filter((url) => new URL(url).origin === location.origin));
    send([location.href]);
    // also what is still being loaded: it was requested before there was a worker
    const observer = new PerformanceObserver((list) => send(list.getEntries().map(({ name }) => name)));
    observer.observe({ type: "resource", buffered: true });
  } catch {
    // the page works without
  }
}

if (document.readyState === "complete") keep();
else addEventListener("load", keep);
