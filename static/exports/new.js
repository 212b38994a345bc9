// A new export: the plain form becomes the whole page. Its state is the choices as the server takes them, in the field `spec`.
import { columnPicker } from "./columns.js";
import { filterBuilder } from "./conditions.js";
import { announce, el } from "./dom.js";
import { columnsOf, initial, keeper, labelOf, offeredBy, offerSegments, settleErrors, withoutEnter } from "./kit.js";
import { formatOptions } from "./options.js";
import { rowOrder } from "./order.js";
import { preflight } from "./preflight.js";

const form = document.querySelector("[data-maker]");
if (form) start();

function start() {
  const page = initial();
  const { offered } = page;
  const field = (name) => form.elements[name];
  const [spec, organization, dataset, windowOf, segment, source, format] = ["spec", "organization", "dataset", "window", "segment_id", "type", "format"].map(field);
  const history = keeper();
  const begun = page.errors.length ? page.choices : (history.found() ?? page.choices);
  let own = { attributes: [], configs: [], segments: [], suggested: {}, zone: "", may: {} };
  let columnsFrom = "own"; // basic, fedex, custom (all), config-ID, or own
  const memory = {}; // by dataset, for those who come back to it
  let shownDataset = begun.dataset ?? "tasks";
  let ready = false;

  const columns = () => columnsOf(offered, dataset.value, own.attributes);
  const config = () => own.configs.find(({ id }) => `config-${id}` === columnsFrom);

  const filter = filterBuilder(form.querySelector("[data-filter]"), {
    columns,
    offered,
    suggested: (key) => (dataset.value === "tasks" ? (own.suggested[key] ?? []) : []),
    onchange: changed,
  });
  const picker = columnPicker(form.querySelector("[data-columns]"), {
    columns,
    openKeys: () => offered.datasets[dataset.value]?.open_keys ?? "",
    offered,
    onchange: () => {
      if (columnsFrom !== "own") detach();
      changed();
    },
  });
  const options = formatOptions(form.querySelector("[data-options]"), {
    format: () => format.value,
    offered,
    mayUnguard: () => own.may.unguarded,
    onchange: changed,
  });
  format.addEventListener("change", () => options.refresh());
  const order = rowOrder(form.querySelector("[data-sort]"), { columns, offered, onchange: changed });
  const look = preflight(form.querySelector("[data-preflight]"), {
    url: page.preflight_url,
    token: field("csrfmiddlewaretoken").value,
    ask: () => (ready && organization.value ? choices() : null),
    labelled: (name) => labelOf(form, picker.columns(), name),
    missing: () => (organization.value ? "" : "Choose an organization."),
    onanswer: ({ window: [first, last] }) => {
      const said = windowOf.value === offered.dates || !first ? "" : first === last ? first : `${first} to ${last}`;
      form.querySelector("[data-window-words]").textContent = said;
    },
  });

  // -- State --
  function choices() {
    const found = {
      organization: Number(organization.value) || null,
      name: field("name").value,
      dataset: dataset.value,
      window: windowOf.value,
      segment_id: Number(segment.value) || null,
      filter: filter.tree(),
      sort: order.sort(),
      format: format.value,
      options: options.given(),
      timezone: field("timezone").value,
      date_format: field("date_format").value,
    };
    if (windowOf.value === offered.dates) for (const bound of offered.bounds) found[bound] = field(bound).value;
    if (columnsFrom.startsWith("config-")) Object.assign(found, { type: "custom", config_id: Number(columnsFrom.slice(7)) });
    else if (columnsFrom === "own") Object.assign(found, { type: "custom", columns: picker.columns() });
    else found.type = columnsFrom;
    return found;
  }

  function changed() {
    if (!ready) return;
    const found = choices();
    spec.value = JSON.stringify(found);
    history.soon(found);
    look.refresh();
  }

  // -- Columns --
  function sources() {
    const isTasks = dataset.value === "tasks";
    const builtin = Object.entries(offered.builtins).map(([name, keys]) => el("option", { value: name }, `${name} (${keys.length} columns)`));
    const saved = own.configs.filter((each) => each.dataset === dataset.value).map(({ id, name }) => el("option", { value: `config-${id}` }, name));
    source.replaceChildren(
      ...(isTasks ? builtin : []),
      el("option", { value: "custom" }, "All columns"),
      ...(saved.length ? [el("optgroup", { label: "Saved configs" }, saved)] : []),
      ...(columnsFrom === "own" ? [el("option", { value: "own" }, "My own choice")] : []),
    );
    source.value = columnsFrom;
    if (source.value !== columnsFrom) {
      columnsFrom = "own"; // a config that is gone
      sources();
    }
    const chosen = config();
    const words = form.querySelector("[data-config-words]");
    words.textContent = chosen ? `Version ${chosen.version}${chosen.in_words ? `. Only rows where ${chosen.in_words}` : ""}.` : "";
  }

  function fill() {
    if (columnsFrom in offered.builtins) {
      const titles = new Map(columns().map(({ key, title }) => [key, title]));
      picker.set(offered.builtins[columnsFrom].map((key) => ({ key, title: titles.get(key) ?? key })));
    } else if (columnsFrom === "custom") {
      picker.set((offered.datasets[dataset.value]?.columns ?? []).map(({ key, title }) => ({ key, title })));
    } else if (config()) picker.set(config().columns);
  }

  // The columns are the person's own from the first change on; what the config filtered stays.
  function detach() {
    const tree = config()?.filter;
    columnsFrom = "own";
    if (tree) {
      filter.add(tree);
      announce("The config's conditions stand among yours now.");
    }
    sources();
  }

  source.addEventListener("change", () => {
    columnsFrom = source.value;
    const chosen = config();
    if (chosen) {
      field("timezone").value = chosen.timezone;
      field("date_format").value = chosen.date_format;
    }
    fill();
    sources();
    changed();
  });

  // -- Segment --
  function segments() {
    offerSegments(segment, own.segments, dataset.value);
    segmentWords();
  }

  function segmentWords() {
    const chosen = own.segments.find(({ id }) => String(id) === segment.value);
    form.querySelector("[data-segment-words]").textContent = chosen ? `Rows where ${chosen.in_words}.` : "";
  }

  segment.addEventListener("change", segmentWords);

  // -- Window --
  function dates() {
    form.querySelectorAll("[data-dates]").forEach((element) => (element.hidden = windowOf.value !== offered.dates));
  }

  windowOf.addEventListener("change", () => {
    dates();
    form.querySelector("[data-window-words]").textContent = "";
  });

  // -- Dataset and organization --
  dataset.addEventListener("change", () => {
    memory[shownDataset] = { columnsFrom, columns: picker.columns(), tree: filter.tree(), sort: order.sort() };
    shownDataset = dataset.value;
    const before = memory[shownDataset] ?? { columnsFrom: shownDataset === "tasks" ? "basic" : "custom", columns: [], tree: null, sort: [] };
    columnsFrom = before.columnsFrom;
    filter.set(before.tree);
    picker.set(before.columns);
    sources();
    if (columnsFrom !== "own") fill();
    segments();
    order.set(before.sort);
  });

  async function theirs() {
    const wanted = organization.value;
    const found = wanted ? await offeredBy(page.offered_url, wanted) : null;
    if (wanted !== organization.value) return;
    own = found ?? { attributes: [], configs: [], segments: [], suggested: {}, zone: "", may: {} };
    field("timezone").options[0].textContent = own.zone ? `the organization's own: ${own.zone}` : "the organization's own";
    for (const element of form.querySelectorAll("[data-may]")) element.hidden = !own.may[element.dataset.may];
    const save = form.querySelector("[data-save]");
    if (save) save.hidden = ![...save.querySelectorAll("[data-may]")].some((element) => !element.hidden);
    if (columnsFrom.startsWith("config-") && !config()) columnsFrom = "own";
    segments();
    sources();
    filter.refresh();
    picker.refresh();
    order.refresh();
    options.refresh();
  }

  organization.addEventListener("change", async () => {
    await theirs();
    changed();
  });
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", () => {
    if (!ready) return;
    spec.value = JSON.stringify(choices());
    history.now(choices());
  });
  withoutEnter(form);

  // -- Beginning --
  async function begin() {
    const set = (name, value) => {
      if (value !== undefined && value !== null && field(name)) field(name).value = value;
    };
    for (const name of ["name", "dataset", "window", "format", "timezone", "date_format"]) set(name, begun[name]);
    if (begun.organization) organization.value = begun.organization;
    if (organization.selectedIndex < 0) organization.selectedIndex = 0;
    for (const bound of offered.bounds) {
      // A link may bring a time to the second in place of a day.
      if (begun[bound] && !/^\d{4}-\d{2}-\d{2}$/.test(begun[bound])) field(bound).type = "text";
      set(bound, begun[bound]);
    }
    shownDataset = dataset.value;
    options.set(begun.options ?? {});
    columnsFrom = Array.isArray(begun.columns) ? "own" : begun.config_id ? `config-${begun.config_id}` : (begun.type ?? "custom");
    try {
      if (Array.isArray(begun.columns)) picker.set(begun.columns);
      filter.set(begun.filter);
      order.set(begun.sort ?? []);
    } catch {
      // A link of another making: the server has said what is wrong with it.
      picker.set([]);
      filter.set(null);
      order.set([]);
    }
    dates();
    // The select knows only the segments of the organization that the server knew of.
    const wanted = begun.segment_id ? String(begun.segment_id) : "";
    if (wanted && ![...segment.options].some(({ value }) => value === wanted)) segment.append(el("option", { value: wanted }, wanted));
    segment.value = wanted;
    await theirs();
    if (columnsFrom !== "own") fill();
    sources();
    if (page.errors.length) {
      const rest = [picker, filter, options, order].reduce((errors, part) => part.show(errors), page.errors);
      settleErrors(page.errors, rest, (name) => labelOf(form, picker.columns(), name));
    }
    ready = true;
    form.setAttribute("data-ready", "yes"); // form.dataset is the field of that name
    changed();
  }

  begin();
}
