// The beginning: colours, charts, the list, and news where the page is live.
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

function themeChanged() {
  byId("theme").setAttribute("aria-pressed", String(isDark()));
  paint();
}

function listenToTheme() {
  const kept = (action) => { try { return action(localStorage); } catch { return null; } }; // a sandbox has no storage
  const theme = kept((storage) => storage.getItem("shardwise-theme"));
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    kept((storage) => storage.setItem("shardwise-theme", document.documentElement.dataset.theme));
    themeChanged();
  });
  dark.addEventListener("change", themeChanged);
}

function legends() {
  const named = (names) => names.map((name) => [name, words(name)]);
  legend("timeline", named(["reading", "computing", "writing", "overhead", "waiting", "attempt_failed", "in_vain", "tried_again", "backup"]));
  legend("where", named(SPENT));
  for (const name of ["time", "memory"]) legend(name, named(["predicted", "was"]));
}

function tell(text) {
  byId("status").hidden = !text;
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

const partsShown = new Map();

function renew({ parts, series }) {
  for (const [name, html] of Object.entries(parts)) {
    const part = byId(`part-${name}`);
    // Made by the same escaping code as the page itself.
    if (partsShown.get(name) !== html) keepFocus(part, () => { part.innerHTML = html; });
    partsShown.set(name, html);
  }
  known.series = run.series = series;
  run.attempts = attempts(series);
  if (chosen >= run.attempts.length) chosen = -1;
  drawCharts();
  listTasks();
}

async function ask(address, seen) {
  try {
    const answer = await fetch(`${address}?seen=${encodeURIComponent(seen)}`, { cache: "no-store" });
    if (answer.status === 200) {
      const news = await answer.json();
      renew(news);
      seen = news.version;
    } else if (answer.status !== 204) throw new Error(String(answer.status));
    tell(words("live"));
  } catch {
    tell(words("gone"));
  }
  setTimeout(() => ask(address, seen), 1000);
}

async function begin() {
  listenToTheme();
  listenToPanel();
  listenToList();
  listTasks();
  if (known.facts.figures.length) {
    await load();
    for (const name of known.facts.figures) await embed(name);
    legends();
    drawCharts();
    follow();
    listen();
    giveHints();
  }
  themeChanged();
  document.documentElement.dataset.ready = "yes";
  if (known.facts.live) ask(known.facts.live, "");
}

begin();
