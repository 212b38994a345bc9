// The form of a schedule: shows what its choices need, and when it would run.
(() => {
  const form = document.querySelector("form[data-schedule]");
  if (!form) return;
  const WAIT_MS = 250;
  const NEEDS = {
    once: ["on_day", "clock"],
    daily: ["clock", "starts_on", "ends_on"],
    weekly: ["weekday", "clock", "starts_on", "ends_on"],
    monthly: ["day", "clock", "starts_on", "ends_on"],
    cron: ["cron", "starts_on", "ends_on"],
  };
  const TIMING = ["kind", "timezone", "on_day", "weekday", "day", "clock", "cron", "starts_on", "ends_on"];
  const place = form.querySelector('[data-part="preview"]');
  let timer = null;
  let asked = 0;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const arrange = () => {
    const needed = NEEDS[form.elements.kind.value] || [];
    for (const name of new Set(Object.values(NEEDS).flat())) {
      form.querySelector(`[data-field="${name}"]`).hidden = !needed.includes(name);
    }
    form.querySelectorAll("[data-format]").forEach((part) => {
      part.hidden = part.dataset.format !== form.elements.format.value;
    });
  };

  const show = ({ words, runs, errors }) => {
    const found = [];
    if (words) found.push(element("p", words, "when"));
    for (const text of new Set(Object.values(errors))) found.push(element("p", text, "quiet"));
    if (runs.length) {
      const list = element("ol", "", "runs");
      list.dataset.part = "runs";
      for (const run of runs) {
        const line = element("li", "");
        const time = element("time", run.local);
        time.dateTime = run.at;
        line.append(time, " ", element("span", run.offset, "quiet"));
        if (run.change) {
          const change = element("span", run.change, "change");
          change.dataset.change = "";
          line.append(change);
        }
        list.append(line);
      }
      found.push(list);
    } else if (!found.length) {
      found.push(element("p", "It would not run at all.", "quiet"));
    }
    place.replaceChildren(...found);
  };

  const ask = async () => {
    const mine = ++asked;
    const query = new URLSearchParams(TIMING.map((name) => [name, form.elements[name].value]));
    try {
      const response = await fetch(`${form.dataset.preview}?${query}`, { redirect: "manual" });
      if (!response.ok || mine !== asked) return;
      show(await response.json());
    } catch {
      if (mine === asked) place.replaceChildren(element("p", "The next runs can't be shown just now.", "quiet"));
    }
  };

  const changed = (event) => {
    arrange();
    if (event && !TIMING.includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, event ? WAIT_MS : 0);
  };

  form.addEventListener("input", changed);
  // Only now the browser has given back what was chosen here before somebody went on and came back.
  window.addEventListener("pageshow", () => changed());
})();
