// The panel with a task's attempts and what they said.
let opener = null;

function openLogs(task, from) {
  opener = from;
  byId("panel-title").textContent = words("logs_of", task);
  const facts = run.attempts.filter((each) => each.task === task).map((each) => element("li", [
    element("strong", `${words("attempt")} ${each.attempt}: `), about(each),
  ]));
  const logs = known.series.logs[task] ?? [];
  const said = logs.flatMap(([attempt, text, short]) => [
    element("h3", `${words("attempt")} ${attempt}`),
    ...(short ? [element("p", words("shortened"), { class: "note" })] : []),
    element("pre", text, { translate: "no" }),
  ]);
  const silent = said.length ? [] : [element("p", words("said_nothing"), { class: "note" })];
  byId("panel-body").replaceChildren(element("ul", facts), ...said, ...silent);
  if (!byId("panel").open) byId("panel").show();
  byId("panel-body").focus();
}

function closeLogs() {
  if (!byId("panel").open) return;
  byId("panel").close();
  if (opener?.isConnected) opener.focus({ preventScroll: true });
}

function listenToPanel() {
  byId("panel-close").addEventListener("click", closeLogs);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeLogs(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-task]");
    if (button) openLogs(button.dataset.task, button);
  });
}
