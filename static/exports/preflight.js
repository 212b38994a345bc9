// What the choices would give, asked anew as they change: only the newest answer is shown, and an older question is broken off.
import { el, plural } from "./dom.js";

const WAIT_MS = 500;
const AT_ONCE = 3; // warnings; the others unfold

const size = (bytes) => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let power = 0;
  let value = bytes;
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000;
    power += 1;
  }
  return `${value >= 100 || power === 0 ? Math.round(value).toLocaleString("en") : value.toFixed(1)} ${units[power]}`;
};

const span = (seconds) => {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const isJson = (response) => (response.headers.get("Content-Type") ?? "").includes("json");

// root: where to draw; ask(): the choices, or null while nothing can be asked yet; labelled(field): how the page calls it.
// onanswer(answer): what else the page makes of it.
export function preflight(root, { url, token, ask, labelled, missing, onanswer = () => {} }) {
  let timer = null;
  let running = null;
  let asked = "";

  const figures = el("dl", { class: "figures" });
  const words = el("p", { class: "in-words", "data-words": true });
  const notes = el("div", { "aria-live": "polite", "data-warnings": true });
  const sample = el("div", { class: "sample", "data-sample": true, tabindex: "0", role: "region", "aria-label": "The first rows" });
  const state = el("p", { class: "help", role: "status", "data-preflight-state": true });
  const retry = el("button", { type: "button", class: "link", onclick: () => refresh({ anew: true }) }, "Ask again");
  root.append(figures, state, words, notes, sample);
  sample.hidden = true;

  function say(text, again = false) {
    state.replaceChildren(text, ...(again ? [" ", retry] : []));
    state.hidden = !text;
  }

  function refresh({ anew = false } = {}) {
    const choices = ask();
    const body = choices && JSON.stringify(choices);
    if (!anew && body === asked) return;
    asked = body;
    clearTimeout(timer);
    running?.abort();
    running = null;
    root.classList.add("stale"); // until there is an answer: what is shown is of other choices
    root.dataset.busy = body ? "yes" : "no";
    if (!body) {
      say(missing());
      return;
    }
    timer = setTimeout(() => send(body), WAIT_MS);
  }

  async function send(body) {
    const mine = (running = new AbortController());
    say("Looking…");
    try {
      const response = await fetch(url, {
        method: "POST",
        redirect: "manual",
        signal: mine.signal,
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body,
      });
      if (mine !== running) return;
      if (response.type === "opaqueredirect") {
        say("You are signed out. Sign in in another tab, and nothing here is lost.", true);
        return;
      }
      if (response.status === 403 && !isJson(response)) {
        say("This page is older than your last sign-in. Load it anew: what is chosen here stays.");
        return;
      }
      if (!isJson(response)) {
        say("It could not be looked at just now; an export can be made all the same.", true);
        return;
      }
      const answer = await response.json();
      if (mine !== running) return;
      if (answer.preflight) {
        show(answer);
        onanswer(answer);
      } else refused(answer.errors ?? []);
    } catch (error) {
      if (error.name !== "AbortError" && mine === running) say("The service did not answer; an export can be made all the same.", true);
    } finally {
      if (mine === running) {
        running = null;
        root.dataset.busy = "no";
      }
    }
  }

  function figure(name, value, hook) {
    return el("div", {}, el("dt", {}, name), el("dd", { [`data-${hook}`]: true }, value));
  }

  const warnings = (list) => (list.length ? [el("ul", { class: "warnings" }, list.map(({ code, detail }) => el("li", { "data-warning": code }, detail)))] : []);

  function show({ preflight: found, in_words: inWords }) {
    say("");
    root.classList.remove("stale");
    const about = found.rows_exact ? "" : "about ";
    figures.replaceChildren(
      figure("Rows", `${about}${found.rows.toLocaleString("en")}`, "rows"),
      figure("Size", found.sampled_rows || found.rows_exact ? `about ${size(found.size_bytes)}` : "not known", "size"),
      figure("Time", `about ${span(found.seconds)}`, "seconds"),
    );
    words.textContent = inWords;
    notes.replaceChildren(
      ...warnings(found.warnings.slice(0, AT_ONCE)),
      ...(found.warnings.length > AT_ONCE
        ? [el("details", { class: "warnings-more" }, el("summary", {}, `${plural(found.warnings.length - AT_ONCE, "more warning")}`), ...warnings(found.warnings.slice(AT_ONCE)))]
        : []),
    );
    sample.hidden = !found.preview.length;
    sample.replaceChildren(
      el(
        "table",
        {},
        el("caption", {}, `The first ${plural(found.preview.length, "row")}, as they will look`),
        el("thead", {}, el("tr", {}, found.header.map((title) => el("th", { scope: "col" }, title)))),
        el("tbody", {}, found.preview.map((row) => el("tr", {}, row.map((cell) => el("td", cell === null ? { class: "null" } : {}, cell ?? ""))))),
      ),
    );
  }

  function refused(errors) {
    const texts = errors.map(({ field, detail }) => (field ? `${labelled(field)}: ${detail}` : detail));
    say("Not complete yet:");
    notes.replaceChildren(el("ul", { class: "missing" }, texts.slice(0, 6).map((text) => el("li", {}, text))));
  }

  return { refresh };
}
