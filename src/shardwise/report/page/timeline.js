// The timeline: attempts in lanes; zooming and moving by mouse and keys, shared with the charts over time.
const MOVING = ["timeline", "rows", "bytes"];
const CLOSEST = 0.001; // seconds: nearer nobody can look
let chosen = -1; // the attempt that keys have chosen
let looking = false;

const view = () => figures.timeline?.x_range;
const laneName = ({ slot, host, driver }) => (driver ? words("driver") : host ? `${slot} · ${host}` : slot);
const showsAll = () => !view() || (view().start <= 0 && view().end >= run.last);

function look(start, end) {
  const whole = run.series.end;
  const width = Math.min(whole, Math.max(Math.min(CLOSEST, whole), end - start));
  const left = Math.max(0, Math.min(start, whole - width));
  looking = true;
  for (const name of MOVING) figures[name]?.x_range.setv({ start: left, end: left + width });
  looking = false;
  byId("shown").textContent = words("shown", moment(left, width), moment(left + width, width));
  for (const name of MOVING) timeTicks(figures[name], left, width);
}

function timeTicks(figure, left, width) {
  if (!figure) return;
  const rough = width / 7, power = 10 ** Math.floor(Math.log10(rough));
  const even = rough > 30 ? [60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400] : [];
  const step = even.find((each) => each >= rough) ?? [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const first = Math.ceil(left / step - 1e-9);
  const at = Array.from({ length: Math.floor((left + width) / step + 1e-9) - first + 1 }, (_, n) => (first + n) * step);
  figure.below[0].ticker = new (Bokeh.Models.get("FixedTicker"))({ ticks: at });
  figure.below[0].major_label_overrides = new Map(at.map((value) => [value, moment(value, width)]));
}

function zoom(factor) {
  const { start, end } = view();
  const middle = chosen >= 0 ? Math.min(end, Math.max(start, run.attempts[chosen].began)) : (start + end) / 2;
  look(middle - (middle - start) * factor, middle + (end - middle) * factor);
}

const move = (share) => look(view().start + share * (view().end - view().start), view().end + share * (view().end - view().start));

const MOVES = {
  zoom_in: () => zoom(0.5), zoom_out: () => zoom(2), earlier: () => move(-0.25), later: () => move(0.25),
  show_all: () => look(0, run.series.end),
};
const KEYS = {
  "+": MOVES.zoom_in, "=": MOVES.zoom_in, "-": MOVES.zoom_out, ArrowLeft: MOVES.earlier, ArrowRight: MOVES.later,
  Home: MOVES.show_all, 0: MOVES.show_all, n: () => choose(chosen + 1), p: () => choose(chosen - 1),
};

function choose(at) {
  if (!run.attempts.length) return;
  chosen = (at + run.attempts.length) % run.attempts.length;
  const attempt = run.attempts[chosen], { start, end } = view();
  if (attempt.ended < start || attempt.began > end) look(attempt.began - (end - start) / 2, attempt.began + (end - start) / 2);
  drawChosen();
  byId("shown").textContent = `${attempt.task}. ${about(attempt)}`;
}

function drawChosen() {
  const some = chosen >= 0 && chosen < run.attempts.length ? [run.attempts[chosen]] : [];
  fill(figures.timeline, "selected", bars(some.map((each) => [each, each.began, each.ended])));
}

function about(attempt) {
  const parts = [["reading", attempt.read], ["computing", attempt.compute], ["writing", attempt.write]];
  const inside = parts.filter(([, spent]) => spent > 0).map(([name, spent]) => `${words(name)} ${duration(spent)}`);
  const how = words(`how_${attempt.how}`) + (attempt.backup ? `, ${words("backup")}` : attempt.again ? `, ${words("tried_again")}` : "");
  const rows = attempt.rows ? [`${count(attempt.rows)} ${words("rows_unit")}`] : [];
  return [duration(attempt.took), how, ...inside, ...rows, ...(attempt.failure ? [attempt.failure] : [])].join(", ");
}

const bars = (pieces) => ({
  left: pieces.map(([, left]) => left), right: pieces.map(([, , right]) => right), y: pieces.map(([each]) => each.lane),
  about: pieces.map(([each]) => (each.task ? `${each.task}: ${each.about}` : each.about ?? "")),
  span: pieces.map(([each]) => each.at ?? -1),
});

// What of an attempt is drawn as what.
function pieces(attempt) {
  if (["failed", "lost"].includes(attempt.how)) return [["attempt_failed", attempt.began, attempt.ended]];
  if (["cancelled", "late"].includes(attempt.how)) return [["in_vain", attempt.began, attempt.ended]];
  const found = [];
  let at = attempt.began;
  for (const [name, spent] of [["reading", attempt.read], ["computing", attempt.compute], ["writing", attempt.write]]) {
    const until = Math.min(attempt.ended, at + spent);
    if (until > at) found.push([name, at, until]);
    at = until;
  }
  if (attempt.ended > at) found.push(["overhead", at, attempt.ended]);
  return found;
}

function drawTimeline() {
  const figure = figures.timeline, { lanes } = run.series;
  if (!figure) return;
  figure.height = 60 + Math.max(40, Math.min(640, 26 * lanes.length));
  rowsOf(figure, lanes.map((lane) => short(laneName(lane), 22)));
  const drawn = Object.fromEntries(["reading", "computing", "writing", "overhead", "in_vain", "attempt_failed"].map((name) => [name, []]));
  for (const attempt of run.attempts) {
    const told = { ...attempt, about: about(attempt) };
    for (const [name, left, right] of pieces(attempt)) drawn[name].push([told, left, right]);
  }
  drawn.waiting = lanes.flatMap((lane, at) => lane.up.map(([up, down]) => [{ lane: at, about: words("waiting") }, up, down]));
  drawn.backup = run.attempts.filter((each) => each.backup).map((each) => [each, each.began, each.ended]);
  drawn.tried_again = run.attempts.filter((each) => each.again).map((each) => [each, each.began, each.ended]);
  for (const [name, found] of Object.entries(drawn)) fill(figure, name, bars(found));
  drawChosen();
  const all = run.last === undefined || showsAll();
  run.last = run.series.end;
  if (all) look(0, run.series.end);
  byId("left-out").hidden = !run.series.left_out;
  byId("left-out").textContent = words("left_out", count(run.attempts.length), count(run.attempts.length + run.series.left_out));
}

// Dragging and the wheel move one figure's range: the others follow, within the run.
function follow() {
  for (const name of MOVING) {
    const range = figures[name].x_range;
    const changed = () => { if (!looking) look(range.start, range.end); };
    range.properties.start.change.connect(changed);
    range.properties.end.change.connect(changed);
  }
}

function listen() {
  const place = byId("chart-timeline");
  for (const button of document.querySelectorAll("[data-move]")) button.addEventListener("click", MOVES[button.dataset.move]);
  place.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && chosen >= 0) openLogs(run.attempts[chosen].task, place);
    else if (KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key]) KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key]();
    else return;
    event.preventDefault();
  });
  const wheels = MOVING.map((name) => figures[name].toolbar.tools.find((tool) => tool.name === "wheel"));
  place.addEventListener("focusin", () => wheels.forEach((wheel) => { wheel.modifiers = {}; }));
  place.addEventListener("focusout", () => wheels.forEach((wheel) => { wheel.modifiers = { ctrl: true }; }));
  for (const each of figures.timeline.renderers) {
    const source = each.data_source;
    source.selected.properties.indices.change.connect(() => {
      const at = source.data.span?.[source.selected.indices[0]] ?? -1;
      if (at < 0) return;
      source.selected.indices = [];
      chosen = at;
      drawChosen();
      openLogs(run.attempts[at].task, place);
    });
  }
}
