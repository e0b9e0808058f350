// The worker loads beside the page's own program, unless another tab has the engine. The page takes it over when it has the
// engine's lock (backend/transport.rs); until then the worker does nothing.
navigator.locks.query().then(({ held }) => {
  if (globalThis.parlourEarly !== undefined || held.some((lock) => lock.name === "parlour-engine")) return;
  globalThis.parlourEarly = new Worker("{{worker.js}}", { type: "module" });
});
