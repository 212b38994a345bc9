// Keeps the jobs on a page up to date while any of them is queued or in progress.
(() => {
  const EVERY_MS = 2000;
  const script = document.currentScript;
  let timer = null;

  const watched = () => [...new Set([...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live))];

  const show = {
    badge(element, job) {
      element.className = job.badge;
      element.textContent = job.status;
      if (!job.live) delete element.dataset.live;
    },
    bar(element, job) {
      element.hidden = !job.live && job.status !== "done";
      if (job.percent === null) element.removeAttribute("value");
      else element.value = job.percent;
    },
    rows(element, job) {
      element.textContent = job.rows;
    },
    percent(element, job) {
      element.textContent = job.status === "in progress" && job.percent !== null ? `${job.percent} %` : "";
    },
    error(element, job) {
      element.textContent = job.error;
    },
  };

  const ask = async () => {
    timer = null;
    const ids = watched();
    if (!ids.length || document.hidden) return;
    let wait = EVERY_MS;
    try {
      // Signed out, the answer is a redirect to the sign-in page: the next real click shows it.
      const response = await fetch(`${script.dataset.url}?ids=${ids.join(",")}`, { redirect: "manual" });
      if (response.type === "opaqueredirect" || response.status === 403) return;
      wait = Math.max(wait, 1000 * Number(response.headers.get("Retry-After") || 0));
      if (response.ok) {
        const { jobs } = await response.json();
        for (const job of jobs) {
          document.querySelectorAll(`[data-job="${job.id}"]`).forEach((element) => show[element.dataset.part](element, job));
        }
        if (!watched().length) {
          if (script.dataset.reload !== undefined) location.reload(); // its buttons are others now
          return;
        }
      }
    } catch {
      wait = 5 * EVERY_MS; // the network is away
    }
    timer = setTimeout(ask, wait);
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === null) ask();
  });
  timer = setTimeout(ask, EVERY_MS);
})();
