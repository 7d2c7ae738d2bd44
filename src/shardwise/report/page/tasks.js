// The list of attempts: a page of a table at a time, because a run may have ten thousand of them.
const PAGE = 20;
const listed = { first: 0, order: "by_length", find: "" };
const TROUBLE = { failed: 0, lost: 1, late: 2, cancelled: 3, running: 4, committed: 5 };
const ORDERS = {
  by_length: (a, b) => b.took - a.took,
  by_start: (a, b) => a.began - b.began,
  by_trouble: (a, b) => TROUBLE[a.how] - TROUBLE[b.how] || b.took - a.took,
};
const COLUMNS = [
  ["task", (each) => taskButton(each.task)], ["stage", (each) => each.stage], ["attempt", (each) => each.attempt, 1],
  ["worker", (each) => laneName(run.series.lanes[each.lane]), 1], ["began", (each) => moment(each.began, run.series.end), 1],
  ["took", (each) => duration(each.took), 1], ["reading", (each) => duration(each.read), 1],
  ["computing", (each) => duration(each.compute), 1], ["writing", (each) => duration(each.write), 1],
  ["rows", (each) => count(each.rows), 1], ["peak", (each) => size(each.peak), 1],
  ["how", (each) => words(`how_${each.how}`) + (each.backup ? ` · ${words("backup")}` : each.again ? ` · ${words("tried_again")}` : "")],
];

function taskButton(task) {
  return element("button", task, { type: "button", class: "task", "data-task": task });
}

function listTasks() {
  const wanted = listed.find.toLowerCase();
  const found = run.attempts.filter((each) => !wanted || each.task.toLowerCase().includes(wanted)).sort(ORDERS[listed.order]);
  listed.first = Math.max(0, Math.min(listed.first, Math.floor((found.length - 1) / PAGE) * PAGE));
  const rows = found.slice(listed.first, listed.first + PAGE);
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const head = COLUMNS.map(([name, , number]) => element("th", capital(words(name)), { scope: "col", ...(number && { class: "number" }) }));
  const body = rows.map((each) => element("tr", COLUMNS.map(([, cell, number], at) => element(
    at ? "td" : "th", cell(each), { ...(!at && { scope: "row" }), ...(number && { class: "number" }) },
  ))));
  const caption = element("caption", words("task_list"), { class: "quiet" });
  keepFocus(byId("task-list"), () => byId("task-list").replaceChildren(
    element("table", [caption, element("thead", element("tr", head)), element("tbody", body)]),
  ));
  const last = listed.first + rows.length;
  byId("rows-shown").textContent = words("rows_shown", count(rows.length ? listed.first + 1 : 0), count(last), count(found.length));
  byId("previous-page").disabled = listed.first === 0;
  byId("next-page").disabled = last >= found.length;
}

function listenToList() {
  const change = (changes) => { Object.assign(listed, changes); listTasks(); };
  byId("order").addEventListener("change", (event) => change({ order: event.target.value, first: 0 }));
  byId("find").addEventListener("input", (event) => change({ find: event.target.value, first: 0 }));
  byId("previous-page").addEventListener("click", () => change({ first: listed.first - PAGE }));
  byId("next-page").addEventListener("click", () => change({ first: listed.first + PAGE }));
}

// Something of a place is drawn anew: what had the focus in it gets it back.
function keepFocus(place, draw) {
  const within = () => [...place.querySelectorAll("button, a, [tabindex]")];
  const at = within().indexOf(document.activeElement);
  draw();
  if (at >= 0) within()[at]?.focus({ preventScroll: true });
}
