// Keeps the jobs on a page up to date while any of them is queued or in progress: one question for all of them at a time, none while
// the page is hidden, fewer and fewer while nothing changes or nobody answers. data-refresh: then the page's #live part is fetched anew.
(() => {
  const SOON_MS = 2000;
  const SLOW_MS = 15000; // while nothing changes
  const AWAY_MS = 60000; // while nobody answers
  const script = document.currentScript;
  let wait = SOON_MS;
  let timer = null;
  let isAsking = false;

  const watched = () => [...new Set([...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live))];
  const parts = (job) => document.querySelectorAll(`[data-job="${job.id}"]`);

  const voice = document.createElement("p");
  voice.className = "visually-hidden";
  voice.setAttribute("role", "status");
  document.addEventListener("DOMContentLoaded", () => document.body.append(voice));

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
  };

  // Whether anything is other than it was.
  const showAll = (jobs) => {
    let changed = false;
    for (const job of jobs) {
      parts(job).forEach((element) => {
        const part = element.dataset.part;
        if (part === "badge" && element.textContent !== job.status) {
          changed = true;
          voice.textContent = `${job.name}: ${job.status}`;
        }
        if (show[part]) show[part](element, job);
        else if (element.textContent !== job[part]) {
          changed = true;
          element.textContent = job[part];
        }
      });
    }
    return changed;
  };

  // What hangs on a job's end, such as its buttons, comes from the server; the page stays where it is.
  const refresh = async () => {
    const answer = await fetch(location.href, { redirect: "manual" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    const old = document.getElementById("live");
    if (!fresh || !old) return;
    const hadFocus = old.contains(document.activeElement);
    old.replaceWith(fresh);
    if (hadFocus) {
      const title = fresh.querySelector("h1");
      title.tabIndex = -1;
      title.focus();
    }
  };

  const ask = async () => {
    timer = null;
    const ids = watched();
    if (!ids.length || document.hidden || isAsking) return;
    isAsking = true;
    try {
      // Signed out, the answer is a redirect to the sign-in page: the next real click shows it.
      const response = await fetch(`${script.dataset.url}?ids=${ids.join(",")}`, { redirect: "manual" });
      if (response.type === "opaqueredirect" || response.status === 403) return;
      if (response.ok) {
        const { jobs } = await response.json();
        wait = showAll(jobs) ? SOON_MS : Math.min(wait * 1.3, SLOW_MS);
        // One that was deleted meanwhile is not there any more.
        const seen = new Set(jobs.map((job) => job.id));
        document.querySelectorAll("[data-live]").forEach((element) => seen.has(element.dataset.live) || delete element.dataset.live);
        if (script.dataset.refresh !== undefined && watched().length < ids.length) await refresh();
        if (!watched().length) return;
      } else {
        wait = Math.min(wait * 2, AWAY_MS);
      }
      wait = Math.max(wait, 1000 * (Number(response.headers.get("Retry-After")) || 0));
    } catch {
      wait = Math.min(wait * 2, AWAY_MS); // the network is away
    } finally {
      isAsking = false;
    }
    timer = setTimeout(ask, wait);
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || timer !== null) return;
    wait = SOON_MS;
    ask();
  });
  timer = setTimeout(ask, SOON_MS);
})();
