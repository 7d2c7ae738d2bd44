// Bokeh's figures: filled from the series, coloured by the page's style, so that they follow light and dark.
const figures = {};
const FONT = getComputedStyle(document.body).fontFamily;
const SPENT = ["reading", "computing", "writing", "waiting", "starting", "retrying"];

const probe = document.body.appendChild(element("span", "", { hidden: "", "aria-hidden": "true" }));
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

// The library travels compressed: a third of its size.
async function load() {
  const packed = Uint8Array.from(atob(byId("library").textContent), (letter) => letter.charCodeAt(0));
  const code = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(element("script", code));
}

async function embed(name) {
  const item = JSON.parse(byId(`figure-${name}`).textContent);
  await Bokeh.embed.embed_item(item, `chart-${name}`);
  figures[name] = Bokeh.documents.at(-1).get_model_by_name(name);
}

const renderer = (figure, name) => figure.renderers.find((each) => each.name === name);

function fill(figure, name, data) {
  renderer(figure, name).data_source.data = data;
}

// Labels are text: a name with $$ in it is no formula.
const label = (text) => text.replaceAll("$$", "$\u200b$");

function axes(figure) {
  return [...figure.below, ...figure.left].filter((each) => each.ticker !== undefined && each.axis_line_color !== undefined);
}

function paint() {
  const ink = colour("ink"), faint = colour("line");
  for (const figure of Object.values(figures)) {
    for (const axis of axes(figure)) {
      axis.setv({
        axis_line_color: faint, major_tick_line_color: faint, major_label_text_color: ink, axis_label_text_color: ink,
        major_label_text_font: FONT, axis_label_text_font: FONT, major_label_text_font_size: "12px",
      });
    }
    for (const grid of figure.center) if (grid.grid_line_color !== undefined) grid.grid_line_color = faint;
    for (const each of figure.renderers) paintGlyph(figure.name, each, ink);
  }
}

function paintGlyph(figure, { name, glyph }, ink) {
  if (figure === "rows" || figure === "bytes") {
    glyph.setv(name === "area" ? { fill_color: colour("computing") } : { line_color: colour("computing") });
  } else if (["tried_again", "backup", "selected"].includes(name)) {
    glyph.setv({ line_color: ink, line_width: name === "selected" ? 3 : 1.5, line_dash: name === "backup" ? [4, 3] : [] });
  } else if (name === "predicted") {
    glyph.setv({ fill_color: colour("paper"), line_color: ink });
  } else {
    const fillColour = colour(name === "was" ? "computing" : name.replace("_", "-"));
    glyph.setv({ fill_color: fillColour, line_color: figure === "timeline" ? null : fillColour });
    if (glyph.hatch_pattern) glyph.hatch_color = colour("paper");
  }
}

function rowsOf(figure, names) {
  const axis = figure.left[0];
  const step = Math.max(1, Math.ceil((names.length * 14) / figure.height));
  axis.ticker = new (Bokeh.Models.get("FixedTicker"))({ ticks: names.map((_, at) => at).filter((at) => at % step === 0) });
  axis.major_label_overrides = new Map(names.map((name, at) => [at, label(name)]));
  figure.y_range.setv({ start: names.length - 0.4, end: -0.6 });
}

function short(text, most = 28) {
  return [...text].length > most ? `${[...text].slice(0, most - 1).join("")}…` : text;
}

function drawPairs(name, measured, predicted, format) {
  const figure = figures[name], stages = run.series.stages;
  if (!figure) return;
  figure.height = 70 + 46 * Math.max(1, stages.length);
  rowsOf(figure, stages.map((stage) => short(stage.name, 18)));
  const rows = stages.map((stage, at) => ({ at, was: stage[measured], predicted: stage[predicted], name: stage.name }));
  const bars = (key, offset) => {
    const kept = rows.filter((row) => row[key] !== null);
    return {
      y: kept.map((row) => row.at + offset), right: kept.map((row) => row[key]),
      about: kept.map((row) => `${row.name}: ${words(key)} ${format(row[key])}`),
    };
  };
  fill(figure, "predicted", bars("predicted", -0.19));
  fill(figure, "was", bars("was", 0.19));
  const most = Math.max(0, ...rows.flatMap((row) => [row.was ?? 0, row.predicted ?? 0]));
  figure.x_range.setv({ start: 0, end: most * 1.05 || 1 });
  ticks(figure.below[0], most, format);
}

// Ticks at round numbers, in our units.
function ticks(axis, most, format) {
  const rough = (most || 1) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const at = Array.from({ length: Math.floor((most || 1) / step) + 1 }, (_, place) => place * step);
  axis.ticker = new (Bokeh.Models.get("FixedTicker"))({ ticks: at });
  axis.major_label_overrides = new Map(at.map((value) => [value, format(value)]));
}

function drawThroughput() {
  const points = run.series.throughput;
  for (const [name, place, format] of [["rows", 1, (v) => `${scaled(v, ["", "k", "M", "G", "T"])}`], ["bytes", 2, size]]) {
    const figure = figures[name];
    if (!figure) continue;
    const y = points.map((point) => point[place]), most = Math.max(0, ...y);
    const about = points.map((point) => `${moment(point[0], run.series.end)}: ${format(point[place])}/s`);
    fill(figure, "line", { x: points.map((point) => point[0]), y, about });
    fill(figure, "area", { x: points.map((point) => point[0]), y, about });
    figure.y_range.setv({ start: 0, end: most * 1.08 || 1 });
    ticks(figure.left[0], most, format);
  }
}

function drawWhere() {
  const figure = figures.where;
  if (!figure) return;
  const spent = run.series.where, whole = SPENT.reduce((sum, name) => sum + (spent[name] ?? 0), 0);
  let left = 0;
  for (const name of SPENT) {
    const right = left + (spent[name] ?? 0);
    const share = whole ? ((100 * (right - left)) / whole).toFixed(1) : "0";
    fill(figure, name, { left: [left], right: [right], about: [`${words(name)}: ${duration(right - left)}, ${share} %`] });
    left = right;
  }
  figure.x_range.setv({ start: 0, end: whole || 1 });
  ticks(figure.below[0], whole, duration);
}

function legend(name, entries) {
  const place = byId(`legend-${name}`);
  place?.replaceChildren(...entries.map(([key, text]) => element("li", [element("i", "", { class: `key ${key}` }), text])));
}

function drawCharts() {
  drawTimeline();
  drawThroughput();
  drawPairs("time", "seconds", "predicted_seconds", duration);
  drawPairs("memory", "memory", "predicted_memory", size);
  drawWhere();
}
