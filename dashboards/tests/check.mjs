// What can be checked without a server: every name that a dashboard, a rule or a runbook uses must
// exist, and nothing that exists may be forgotten.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { boards, expressions, list, metrics, picked, read, root, rules } from "./tree.mjs";

const problems = [];
const must = (holds, problem) => holds || problems.push(problem);

const known = metrics();
const all = rules();
const recorded = new Set(all.filter((rule) => rule.record).map((rule) => rule.record));
const alerts = all.filter((rule) => rule.alert);
const shown = expressions();

/** The family behind a series: a histogram has three. */
function family(name) {
  const short = name.replace(/_(bucket|sum|count)$/, "");
  return known.get(short)?.kind === "histogram" && short !== name ? short : name;
}

// Labels that Prometheus adds by itself, and the one of histograms.
const ADDED = ["instance", "job", "role", "le"];
const used = new Set();
const texts = [
  ...shown,
  ...all.map((rule) => ({ where: `${rule.file}: ${rule.alert ?? rule.record}`, expr: rule.expr })),
];
for (const { where, expr } of texts) {
  for (const { name, labels } of picked(expr)) {
    if (["up", "ALERTS"].includes(name)) continue;
    used.add(family(name));
    const metric = known.get(family(name));
    must(metric || recorded.has(name), `${where}: there is no ${name}`);
    for (const label of metric ? labels : []) {
      must([...metric.labels, ...ADDED].includes(label), `${where}: ${name} has no label ${label}`);
    }
  }
  for (const [, how, name] of expr.matchAll(/\b(rate|increase)\((\w+)/g)) {
    const kind = known.get(family(name))?.kind;
    must(
      kind === "counter" || (kind === "histogram" && family(name) !== name),
      `${where}: ${how} of ${name}, which does not only grow`,
    );
  }
}

// A rate needs two samples: windows hold where Prometheus scrapes once a minute, its default, and misses a scrape. Only a
// panel may leave it to Grafana, which is told how often it scrapes.
const WINDOW_SECONDS_MIN = 180;
const SECONDS = { s: 1, m: 60, h: 3600 };
for (const { where, expr } of texts) {
  const ofPanel = shown.some((one) => one.where === where);
  for (const [window, count, unit] of expr.matchAll(/\[(?:(\d+)([smh])|[^\]]*)\]/g)) {
    const holds = count * SECONDS[unit] >= WINDOW_SECONDS_MIN || (ofPanel && window === "[$__rate_interval]");
    must(holds, `${where}: ${window} is too short for a scrape each minute`);
  }
}

// On a panel itself, or through a recording rule that a panel shows.
const onPanels = new Set();
const show = (expr) => {
  for (const { name } of picked(expr)) {
    onPanels.add(family(name));
    const rule = all.find((rule) => rule.record === name);
    if (rule) show(rule.expr);
  }
};
shown.filter((one) => !one.annotation).forEach((one) => show(one.expr));
const unshown = JSON.parse(read("dashboards/tests/unshown.json"));
for (const name of known.keys()) {
  must(onPanels.has(name) !== name in unshown, `${name}: on a panel, or in unshown.json with the reason, and not both`);
}
for (const name of Object.keys(unshown)) must(known.has(name), `unshown.json: there is no ${name}`);
for (const name of recorded)
  must(
    texts.some(({ expr }) => picked(expr).some((one) => one.name === name)),
    `${name} is recorded for nobody`,
  );

// The dashboards hang together, and no panel lies over another.
const uid = parse(read("dashboards/provisioning/datasources/prometheus.yml")).datasources[0].uid;
for (const { name, board } of boards()) {
  const ids = board.panels.map((panel) => panel.id);
  must(new Set(ids).size === ids.length, `${name}: two panels have one id`);
  must(board.uid && board.tags.includes("doorline"), `${name}: the links between dashboards go by the tag doorline`);
  must(
    board.links.some((link) => link.type === "dashboards" && link.tags.includes("doorline") && link.includeVars),
    `${name}: leads nowhere`,
  );
  must(
    board.templating.list.some((one) => one.name === "drop"),
    `${name}: has no variable drop`,
  );
  for (const variable of board.templating.list) {
    const [, metric, label] = variable.query.query.match(/^label_values\((\w+), (\w+)\)$/);
    must(
      known.get(metric) && [...known.get(metric).labels, "instance"].includes(label),
      `${name}: ${variable.name} has no values`,
    );
  }
  for (const panel of board.panels.filter((panel) => panel.type !== "row")) {
    must(panel.description?.endsWith("."), `${name}: ${panel.title} does not say what it shows`);
    must(
      panel.datasource.uid === uid && panel.targets.every((target) => target.datasource.uid === uid),
      `${name}: ${panel.title} asks another data source`,
    );
    const { x, y, w, h } = panel.gridPos;
    const over = board.panels.filter(
      ({ id, gridPos: at }) => id !== panel.id && at.x < x + w && x < at.x + at.w && at.y < y + h && y < at.y + at.h,
    );
    must(over.length === 0 && x + w <= 24, `${name}: ${panel.title} lies over ${over.map((one) => one.title)}`);
  }
}

// Every alert has its runbook, every runbook its alert, and the panels that it names exist.
const pages = list("docs/runbooks").filter((page) => page !== "README.md");
const index = read("docs/runbooks/README.md");
const titles = new Set(
  boards().flatMap(({ board }) => [board.title.replace("Doorline: ", ""), ...board.panels.map((panel) => panel.title)]),
);
for (const { alert, labels, annotations, file } of alerts) {
  must(/^Doorline[A-Z]\w+$/.test(alert), `${file}: ${alert} does not say whose it is`);
  must(["page", "ticket"].includes(labels?.severity), `${alert}: severity is page or ticket`);
  must(annotations?.summary, `${alert}: says nothing`);
  must(annotations?.runbook_url === `docs/runbooks/${alert}.md`, `${alert}: another runbook`);
  must(pages.includes(`${alert}.md`), `${alert}: no runbook`);
  must(
    index.includes(`[${alert}](${alert}.md) | ${labels?.severity} |`),
    `${alert}: not in the index, or with another severity`,
  );
}
for (const page of pages) {
  const name = page.replace(".md", "");
  const alert = alerts.find((one) => one.alert === name);
  must(alert, `${page}: no such alert`);
  const text = read("docs/runbooks", page);
  must(
    text.startsWith(`# ${name}\n`) && text.includes(`Severity: **${alert?.labels.severity}**`),
    `${page}: another head`,
  );
  for (const part of ["What it means for shoppers", "What to look at", "What to do"])
    must(text.includes(`## ${part}\n`), `${page}: ${part}?`);
  for (const [, title] of text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\*\*[^*]+\*\*/g, "")
    .matchAll(/\*([^*]+)\*/g)) {
    must(
      [...titles].some((one) => one.toLowerCase() === title.toLowerCase()),
      `${page}: there is no panel ${title}`,
    );
  }
  for (const [, link] of text.matchAll(/\]\(([^)]+)\)/g))
    must(existsSync(join(root, "docs/runbooks", link)), `${page}: ${link} leads nowhere`);
}

// Every alert was seen to fire and to be silent.
const cases = list("dashboards/tests/rules").flatMap((file) =>
  parse(read("dashboards/tests/rules", file)).tests.flatMap((test) => test.alert_rule_test),
);
for (const { alert } of alerts) {
  const mine = cases.filter((one) => one.alertname === alert);
  must(
    mine.some((one) => one.exp_alerts.length > 0),
    `${alert}: no test sees it fire`,
  );
  must(
    mine.some((one) => one.exp_alerts.length === 0),
    `${alert}: no test sees it silent`,
  );
}

// What is mounted must be where it is looked for.
const compose = parse(read("docker-compose.yml")).services;
const mounted = (service, from, to) =>
  must(
    compose[service].volumes.includes(`./dashboards/${from}:${to}:ro`),
    `docker-compose.yml: ${service} does not get ${from}`,
  );
mounted("prometheus", "prometheus.yml", "/etc/prometheus/prometheus.yml");
mounted("prometheus", "rules", "/etc/prometheus/rules");
mounted("grafana", "provisioning", "/etc/grafana/provisioning");
mounted("grafana", "grafana", parse(read("dashboards/provisioning/dashboards/doorline.yml")).providers[0].options.path);

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
const counts = [
  `${known.size} metrics`,
  `${boards().length} dashboards with ${shown.length} expressions`,
  `${recorded.size} recorded figures`,
  `${alerts.length} alerts`,
  `${pages.length} runbooks`,
  `${cases.length} rule tests`,
];
console.log(`names: ${counts.join(", ")}`);
