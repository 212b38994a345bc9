// A new export: the plain form becomes the whole page. Its state is the choices as the server takes them, in the field `spec`.
import { columnPicker } from "./columns.js";
import { columnSelect, filterBuilder } from "./conditions.js";
import { announce, button, el, errorList, select } from "./dom.js";
import { columnsOf, initial, labelOf, offeredBy, offerSegments, settleErrors, withoutEnter } from "./kit.js";
import { preflight } from "./preflight.js";

const form = document.querySelector("[data-maker]");
if (form) start();

function start() {
  const page = initial();
  const { offered } = page;
  const field = (name) => form.elements[name];
  const [spec, organization, dataset, windowOf, segment, source, format] = ["spec", "organization", "dataset", "window", "segment_id", "type", "format"].map(field);
  // The browser brings the field back when somebody comes back to the page.
  const begun = spec.value ? JSON.parse(spec.value) : page.choices;
  let own = { attributes: [], configs: [], segments: [], suggested: {}, zone: "", may: {} };
  let columnsFrom = "own"; // basic, fedex, custom (all), config-ID, or own
  let options = {};
  let sort = [];
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
  const look = preflight(form.querySelector("[data-preflight]"), {
    url: page.preflight_url,
    token: field("csrfmiddlewaretoken").value,
    ask: () => (ready && organization.value ? choices() : null),
    labelled: (name) => labelOf(form, picker.columns(), name),
    missing: () => (organization.value ? "" : "Choose an organization."),
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
      sort,
      format: format.value,
      options: options[format.value] ?? {},
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
    spec.value = JSON.stringify(choices());
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

  windowOf.addEventListener("change", dates);

  // -- Format --
  const LABELS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "bar |", ".": "point" };
  const words = (key) => key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");

  function settled() {
    const declared = offered.formats[format.value] ?? [];
    const given = options[format.value] ?? {};
    const values = Object.fromEntries(declared.map((option) => [option.key, option.default]));
    for (const option of declared) Object.assign(values, option.presets[given[option.key] ?? option.default] ?? {});
    return { ...values, ...given };
  }

  function formatOptions(errors = []) {
    const values = settled();
    const set = (option, value) => {
      const given = { ...options[format.value], [option.key]: value };
      // What a preset brings holds until somebody says otherwise after it.
      for (const key of Object.values(option.presets).flatMap(Object.keys)) delete given[key];
      options[format.value] = given;
      formatOptions();
      form.querySelector(`[data-option="${option.key}"] :is(select, input)`)?.focus();
      changed();
    };
    form.querySelector("[data-options]").replaceChildren(
      ...(offered.formats[format.value] ?? []).map((option) => {
        const mine = errors.filter(({ field: name }) => name === `options.${option.key}`).map(({ detail }) => detail);
        const id = `id_option_${option.key}`;
        let input;
        if (option.choices.length) {
          const offers = option.choices.filter((choice) => !(option.key === "guard" && choice === "none") || own.may.unguarded || values.guard === "none");
          input = select(words(option.key), offers.map((choice) => [choice, LABELS[choice] ?? choice]), values[option.key], (value) => set(option, value), { id });
          input.removeAttribute("aria-label");
        } else input = el("input", { type: "checkbox", id, checked: values[option.key], onchange: () => set(option, input.checked) });
        return el("div", { class: option.choices.length ? "field" : "field check", "data-option": option.key }, el("label", { for: id }, words(option.key)), input, el("p", { class: "help" }, option.help.replaceAll("`", "")), errorList(mine));
      }),
    );
  }

  format.addEventListener("change", () => formatOptions());

  // -- Order --
  function order(errors = []) {
    const box = form.querySelector("[data-sort]");
    const redraw = () => {
      order();
      changed();
    };
    const rows = sort.map((each, number) =>
      el("div", { class: "sort-row", "data-sort-row": String(number) },
        columnSelect(number ? "Then by" : "Sorted by", columns(), each.column, (key) => {
          each.column = key;
          changed();
        }),
        select("Direction", [["asc", "ascending"], ["desc", "descending"]], each.direction, (direction) => {
          each.direction = direction;
          changed();
        }),
        button("Take this order out", "✕", () => {
          sort.splice(number, 1);
          redraw();
          box.querySelector("[data-add-sort]")?.focus();
        }, { class: "icon" }),
        errorList(errors.filter(({ field: name }) => name.startsWith(`sort[${number}]`)).map(({ detail }) => detail))));
    const more = sort.length < offered.most.sorts
      ? button("Add an order", sort.length ? "+ then by" : "+ sort by a column", () => {
          const used = new Set(sort.map(({ column }) => column));
          sort.push({ column: columns().find(({ key }) => !used.has(key)).key, direction: "asc" });
          redraw();
          box.querySelector(`[data-sort-row="${sort.length - 1}"] select`)?.focus();
        }, { class: "link", "data-add-sort": true })
      : null;
    box.replaceChildren(el("h3", {}, "Order of rows"), ...rows, el("div", { class: "group-foot" }, sort.length ? null : el("span", { class: "quiet" }, "by creation"), more));
  }

  // -- Dataset and organization --
  dataset.addEventListener("change", () => {
    memory[shownDataset] = { columnsFrom, columns: picker.columns(), tree: filter.tree(), sort };
    shownDataset = dataset.value;
    const before = memory[shownDataset] ?? { columnsFrom: shownDataset === "tasks" ? "basic" : "custom", columns: [], tree: null, sort: [] };
    ({ columnsFrom, sort } = before);
    filter.set(before.tree);
    picker.set(before.columns);
    sources();
    if (columnsFrom !== "own") fill();
    segments();
    order();
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
    order();
    formatOptions();
  }

  organization.addEventListener("change", async () => {
    await theirs();
    changed();
  });
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", () => {
    if (ready) spec.value = JSON.stringify(choices());
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
    options[format.value] = begun.options ?? {};
    sort = (Array.isArray(begun.sort) ? begun.sort : []).map(({ column, direction = "asc" }) => ({ column, direction }));
    columnsFrom = Array.isArray(begun.columns) ? "own" : begun.config_id ? `config-${begun.config_id}` : (begun.type ?? "custom");
    if (Array.isArray(begun.columns)) picker.set(begun.columns);
    filter.set(begun.filter);
    dates();
    // The select knows only the segments of the organization that the server knew of.
    const wanted = begun.segment_id ? String(begun.segment_id) : "";
    if (wanted && ![...segment.options].some(({ value }) => value === wanted)) segment.append(el("option", { value: wanted }, wanted));
    segment.value = wanted;
    await theirs();
    if (columnsFrom !== "own") fill();
    sources();
    const rest = page.errors.length ? filter.show(picker.show(page.errors)) : [];
    if (page.errors.length) {
      formatOptions(rest);
      order(rest);
      settleErrors(page.errors, rest.filter(({ field: name }) => !/^(options\.|sort\[)/.test(name)), (name) => labelOf(form, picker.columns(), name));
    }
    ready = true;
    form.setAttribute("data-ready", "yes"); // form.dataset is the field of that name
    changed();
  }

  form.classList.add("scripted");
  begin();
}
