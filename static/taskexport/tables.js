// On a narrow screen the rows of a long table become boxes: each cell says which column it is of, and stays a cell to whoever listens.
document.querySelectorAll("#result_list, table.stack").forEach((table) => {
  table.classList.add("stack");
  table.setAttribute("role", "table");
  const titles = [...table.querySelectorAll("thead th")].map((title) => title.textContent.trim());
  table.querySelectorAll("thead, tbody").forEach((part) => part.setAttribute("role", "rowgroup"));
  table.querySelectorAll("tr").forEach((row) => {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, number) => {
      const isTitle = cell.tagName === "TH";
      cell.setAttribute("role", isTitle ? (cell.scope === "row" || row.parentElement.tagName === "TBODY" ? "rowheader" : "columnheader") : "cell");
      if (!isTitle && titles[number] && cell.textContent.trim()) cell.dataset.label = titles[number];
    });
  });
});
