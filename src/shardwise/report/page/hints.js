// What lies under the pointer, in words beside it. Bokeh finds it; this says it.
const hint = document.body.appendChild(element("div", "", { id: "hint", hidden: "", "aria-hidden": "true" }));

function hinted(figure) {
  for (const { data_source: source } of [...figure.renderers].reverse()) {
    const { indices, line_indices: points } = source.inspected;
    const at = indices[0] ?? points[0];
    if (at !== undefined && source.data.about) return source.data.about[at] ?? "";
  }
  return "";
}

function showHint(text, { clientX, clientY }) {
  hint.textContent = text;
  hint.hidden = !text;
  const { width, height } = hint.getBoundingClientRect();
  hint.style.left = `${Math.max(4, Math.min(clientX + 14, innerWidth - width - 4))}px`;
  hint.style.top = `${clientY + 18 + height < innerHeight ? clientY + 18 : clientY - height - 10}px`;
}

function giveHints() {
  for (const [name, figure] of Object.entries(figures)) {
    const place = byId(`chart-${name}`);
    place.addEventListener("pointermove", (event) => requestAnimationFrame(() => showHint(hinted(figure), event)));
    place.addEventListener("pointerleave", () => requestAnimationFrame(() => { hint.hidden = true; }));
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hint.hidden = true; });
}
