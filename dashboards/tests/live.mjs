// Asks a real Prometheus every question of the dashboards, while it scrapes a real sale.
//
// Usage: live.mjs --doorline FILE [--k6 FILE]. Starts a demo with a small crowd and a Prometheus of
// its own, both on free ports of loopback, and ends both. With k6 its shortest scenarios run meanwhile.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { runScenarios } from "../../k6/short.mjs";
import { EXPECTED, SALE, SILENT } from "./expected.mjs";
import { expressions, metrics, root } from "./tree.mjs";

const options = Object.fromEntries(
  process.argv
    .slice(2)
    .map((word, at, all) => [word, all[at + 1]])
    .filter(([word]) => word.startsWith("--")),
);
const scratch = mkdtempSync(join(tmpdir(), "doorline-live-"));
const children = [];
const problems = [];
const must = (holds, problem) => holds || problems.push(problem);

/** Starts a program that `finish` ends; what it says goes to a file. */
function start(name, program, words) {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (said.text += piece));
  const over = new Promise((done) => child.once("exit", done).once("error", done));
  children.push({ child, over });
  return { name, said, child };
}

async function finish() {
  for (const { child } of children) child.kill("SIGTERM");
  const soon = Promise.all(children.map(({ over }) => over));
  await Promise.race([soon, pause(15_000)]);
  for (const { child } of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
}

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Tries until something comes of it. */
async function until(what, seconds, attempt) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(250)) {
    const found = await attempt().catch(() => undefined);
    if (found) return found;
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

const text = async (url) => (await fetch(url)).text();

async function scene() {
  const demo = start("demo", options["--doorline"], [
    "demo",
    "--shoppers",
    String(SALE.shoppers),
    "--stock",
    String(SALE.stock),
    "--seed",
    "7",
  ]);
  const said = await until("the demo's addresses", 30, async () =>
    demo.said.text.match(/shop +(http:\S+)\/drops[\s\S]*metrics +http:\/\/(\S+)\/metrics/),
  );
  const [, shop, admin] = said;
  const port = await freePort();
  const config = join(scratch, "prometheus.yml");
  const scrape = { job_name: "doorline", scrape_interval: "1s", static_configs: [{ targets: [admin] }] };
  writeFileSync(
    config,
    JSON.stringify({
      global: { evaluation_interval: "1s" },
      rule_files: [join(root, "dashboards/rules/*.yml")],
      scrape_configs: [scrape],
    }),
  );
  mkdirSync(join(scratch, "data"));
  const prometheus = start("prometheus", "prometheus", [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(scratch, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--log.level=warn",
  ]);
  const base = `http://127.0.0.1:${port}`;
  await until("Prometheus", 30, async () => (await fetch(`${base}/-/ready`)).ok).catch((error) => {
    throw new Error(`${error.message}\n${prometheus.said.text}`);
  });
  return { demo, shop, admin, base };
}

async function ask(base, path, parameters) {
  const answer = await (await fetch(`${base}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== "success") throw new Error(`${answer.errorType}: ${answer.error}`);
  return answer.data.result;
}

/** What a series is called on the panel. */
const legend = (form, labels) => form.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? "");

/** Every value of every series of one expression, since the beginning. */
async function answers(base, one, from, to) {
  const expr = one.expr.replaceAll("$drop", "aurora").replaceAll("$instance", ".*");
  const found = await ask(base, "query_range", { query: expr, start: from, end: to, step: 1 });
  return found.map(({ metric, values }) => ({
    name: one.annotation ? "" : legend(one.legend, metric),
    at: new Map(values.map(([when, value]) => [when, Number(value)]).filter(([, value]) => !Number.isNaN(value))),
  }));
}

/** What must hold for any figure of its unit. */
function plausible(one, values) {
  if (values.some((value) => !Number.isFinite(value))) return "is infinite";
  if (values.some((value) => value < 0)) return "is negative";
  if (one.unit === "percentunit" && values.some((value) => value > 1 + 1e-9)) return "is more than all of it";
  if (one.unit === "s" && values.some((value) => value > 600)) return "takes longer than the whole sale";
  return "";
}

async function askEverything(base, from, to) {
  const asked = expressions();
  const panels = new Map();
  for (const one of asked) {
    try {
      const series = await answers(base, one, from, to);
      const values = series.flatMap(({ at }) => [...at.values()]);
      if (one.annotation) continue;
      must(values.length > 0, `${one.where}: nothing came of ${one.expr}`);
      const doubt = plausible(one, values);
      must(!doubt, `${one.where} ${doubt}`);
      const key = `${one.board}: ${one.title}`;
      panels.set(key, [...(panels.get(key) ?? []), ...series]);
    } catch (error) {
      problems.push(`${one.where}: ${error.message}`);
    }
  }
  for (const [key, expectation] of Object.entries(EXPECTED)) {
    const series = panels.get(key);
    if (!series) problems.push(`expected.mjs: there is no panel ${key}`);
    else for (const complaint of expectation(series)) problems.push(`${key}: ${complaint}`);
  }
  return asked.length;
}

/** The text that Prometheus scrapes: clean to promtool, and every family of it known to the tree. */
function judge(scraped) {
  try {
    execFileSync("promtool", ["check", "metrics"], {
      input: scraped,
      encoding: "utf8",
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (error) {
    problems.push(`promtool check metrics: ${error.stdout}${error.stderr}`);
  }
  const known = metrics();
  const live = new Map([...scraped.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name, kind]));
  for (const [name, kind] of live)
    must(known.get(name)?.kind === kind, `${name}: published as a ${kind}, not found in the code as such`);
  for (const name of known.keys()) must(live.has(name) || name in SILENT, `${name}: in the code, but not published`);
  return live.size;
}

try {
  const from = Math.floor(Date.now() / 1000);
  const { demo, shop, admin, base } = await scene();
  const sale = until("the end of the sale", 110, async () => {
    if (demo.child.exitCode !== null) throw new Error(demo.said.text);
    return demo.said.text.includes("Still serving");
  });
  const load = options["--k6"] ? runScenarios(options["--k6"], shop) : undefined;
  const [, loaded] = await Promise.all([sale, load]);
  problems.push(...(loaded?.problems ?? []));
  // Two scrapes and evaluations more, so that the last figures are seen.
  await pause(3_000);
  const asked = await askEverything(base, from, Math.floor(Date.now() / 1000));
  const published = judge(await text(`http://${admin}/metrics`));
  const fired = await ask(base, "query_range", {
    query: 'ALERTS{alertstate="firing"}',
    start: from,
    end: Date.now() / 1000,
    step: 1,
  });
  must(fired.length === 0, `alerts in a sound sale: ${fired.map(({ metric }) => metric.alertname).join(", ")}`);
  if (problems.length === 0) {
    console.log(`live: ${asked} expressions answered, ${published} families published, no alert`);
    if (loaded) console.log(`k6: ${loaded.ran} scenarios are green, ${loaded.refused} spoilt ones are red`);
  } else console.error(`${problems.join("\n")}\n${demo.said.text}`);
} catch (error) {
  problems.push(error.message);
  console.error(error.message);
} finally {
  await finish();
}
process.exit(problems.length > 0 ? 1 : 0);
