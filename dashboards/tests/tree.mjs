// What lies in the tree: the metrics that the code publishes, the dashboards' expressions, the rules.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export const root = join(import.meta.dirname, "..", "..");
export const read = (...path) => readFileSync(join(root, ...path), "utf8");
export const list = (...path) => readdirSync(join(root, ...path)).sort();

const KINDS = {
  IntCounterVec: "counter",
  IntGauge: "gauge",
  IntGaugeVec: "gauge",
  GaugeVec: "gauge",
  HistogramVec: "histogram",
};

/** Every metric in the code: its name → its kind and its labels. */
export function metrics() {
  const found = new Map();
  const families = read("gateway/src/telemetry/metrics.rs").split("families! {").at(-1);
  for (const [, kind, name, labels] of families.matchAll(/^ {4}\w+: (\w+)\("(\w+)", \[([^\]]*)\]/gm)) {
    if (!KINDS[kind]) throw new Error(`${name}: what is a ${kind}?`);
    found.set(`doorline_${name}`, {
      kind: KINDS[kind],
      labels: [...labels.matchAll(/"(\w+)"/g)].map(([, label]) => label),
    });
  }
  // Two families are written as text: waits are kept in buckets already, and the kernel's figures are read when asked for.
  const [, waits] = read("gateway/src/admin/waits.rs").match(/# TYPE (\w+) histogram/);
  found.set(waits, { kind: "histogram", labels: ["drop"] });
  for (const [, name, kind] of read("gateway/src/admin/process.rs").matchAll(/family\(\s*"(\w+)",\s*"(\w+)"/g)) {
    found.set(name, { kind, labels: [] });
  }
  if (found.size < 40) throw new Error(`only ${found.size} metrics found: has the code moved?`);
  return found;
}

/** Every dashboard with its panels in one list. */
export function boards() {
  return list("dashboards/grafana").map((name) => ({ name, board: JSON.parse(read("dashboards/grafana", name)) }));
}

/** Every expression of the dashboards, with where it stands. */
export function expressions() {
  return boards().flatMap(({ name, board }) => [
    ...board.panels.flatMap((panel) =>
      (panel.targets ?? []).map((target) => ({
        where: `${name}: ${panel.title} (${panel.type}) ${target.refId}`,
        expr: target.expr,
        unit: panel.fieldConfig.defaults.unit,
        min: panel.fieldConfig.defaults.min,
        board: name,
        title: panel.title,
        type: panel.type,
        legend: target.legendFormat,
      })),
    ),
    ...board.annotations.list.map((note) => ({
      where: `${name}: annotation ${note.name}`,
      expr: note.target.expr,
      annotation: true,
    })),
  ]);
}

/** Every rule, recording or alerting. */
export function rules() {
  return list("dashboards/rules").flatMap((file) =>
    parse(read("dashboards/rules", file)).groups.flatMap((group) => group.rules.map((rule) => ({ ...rule, file }))),
  );
}

const WORDS = new Set([
  "and",
  "or",
  "unless",
  "bool",
  "offset",
  "inf",
  "nan",
  "by",
  "without",
  "on",
  "ignoring",
  "group_left",
  "group_right",
]);

/** The metrics that an expression reads, each with the labels that it is picked by. */
export function picked(expr) {
  const found = [];
  const bare = expr
    .replace(/\[[^\]]*\]/g, "")
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, " ");
  for (const [, name, , matchers] of bare.matchAll(/([a-zA-Z_:][\w:]*)(\s*\{([^}]*)\})?(?!\s*\(|\w)/g)) {
    if (insideBraces(bare, name) || WORDS.has(name)) continue;
    found.push({ name, labels: [...(matchers ?? "").matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label) });
  }
  return found;
}

/** Whether a word occurs only inside braces, as the name of a label or in its value. */
function insideBraces(expr, word) {
  return !new RegExp(`(^|[^\\w:])${word}($|[^\\w:])`).test(expr.replace(/\{[^}]*\}/g, ""));
}
