// Buttons that copy: data-copy="ID" the text of the element of this id, data-copy-url="PATH" the `url` that this path answers with.
(() => {
  const voice = document.createElement("p");
  voice.className = "visually-hidden";
  voice.setAttribute("role", "status");
  document.addEventListener("DOMContentLoaded", () => document.body.append(voice));

  const write = async (text) => {
    // Only pages of a secure origin have the clipboard; the older way works everywhere.
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    field.className = "visually-hidden";
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    if (!copied) throw new Error("not copied");
  };

  const textOf = async (button) => {
    if (button.dataset.copy) return document.getElementById(button.dataset.copy).textContent;
    const response = await fetch(button.dataset.copyUrl, { redirect: "manual" });
    const answer = response.ok || response.status === 409 || response.status === 410 ? await response.json() : {};
    if (!answer.url) throw new Error(answer.message || "It could not be copied; load the page again.");
    return answer.url;
  };

  const say = (button, text) => {
    button.dataset.label ||= button.textContent;
    button.textContent = text;
    voice.textContent = text;
    setTimeout(() => (button.textContent = button.dataset.label), 4000);
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-url]");
    if (!button) return;
    try {
      await write(await textOf(button));
      say(button, "Copied");
    } catch (error) {
      say(button, error.message === "not copied" || error.name === "NotAllowedError" ? "The browser does not let it be copied" : error.message);
    }
  });
})();
