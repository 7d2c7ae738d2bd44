// What the page knows, and numbers as words. Nothing that comes from a run is ever made HTML here: only text.
const known = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function words(name, ...values) {
  let next = 0;
  return known.texts[name].replace(/\{(\d?)\}/g, (_, at) => values[at === "" ? next++ : Number(at)]);
}

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().map((piece) => piece ?? ""));
  return made;
}

function scaled(value, units) {
  let step = 0;
  while (value >= 999.5 && step < units.length - 1) { value /= 1000; step++; }
  const digits = step === 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[step]}`.trim();
}

const size = (bytes) => scaled(bytes, ["B", "kB", "MB", "GB", "TB", "PB"]);
const count = (number) => number.toLocaleString("en");

function duration(seconds) {
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// A moment of the run, told apart from its neighbours at the zoom that is shown.
function moment(seconds, shown) {
  if (shown >= 600) return duration(seconds);
  return `${seconds.toFixed(shown >= 30 ? 0 : shown >= 3 ? 1 : shown >= 0.3 ? 2 : 3)} s`;
}

const HOW = ["committed", "failed", "lost", "cancelled", "late", "running"];

// Attempts as objects that know their place in the columns.
function attempts(series) {
  const c = series.spans, backups = new Set(c.backup), failed = new Set();
  return c.task.map((task, at) => ({
    at, task, stage: c.stages[c.stage[at]], attempt: c.attempt[at], lane: c.lane[at],
    began: c.began[at], took: c.took[at], ended: c.began[at] + c.took[at], how: HOW[c.how[at]],
    read: c.read[at], compute: c.compute[at], write: c.write[at], rows: c.rows[at], bytes: c.bytes_in[at],
    peak: c.peak[at], backup: backups.has(at), failure: c.failure[at] ?? "",
  })).map((each) => {
    each.again = !each.backup && failed.has(each.task);
    if (["failed", "lost"].includes(each.how)) failed.add(each.task);
    return each;
  });
}

const run = { series: known.series, attempts: attempts(known.series) };
