// Asks a real Prometheus every question of the dashboards, while it scrapes a real sale.
//
// Usage: live.mjs --doorline FILE [--form distributed] [--k6 FILE]. Starts a demo with a small crowd, in one process or
// in four with their engines, and a Prometheus of its own, all on free ports of loopback, and ends them. With k6 its
// shortest scenarios run meanwhile. With `--draw FOLDER` it watches a larger sale and draws what it was answered.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { runScenarios } from "../../k6/short.mjs";
import { SALE, SILENT, expected } from "./expected.mjs";
import { picture } from "./draw.mjs";
import { ask, finish, fleet, options, prometheus, start, until } from "./stage.mjs";
import { expressions, metrics } from "./tree.mjs";

const distributed = options["--form"] === "distributed";
const folder = options["--draw"];
const sale = folder ? { shoppers: 2_000, stock: 400 } : SALE;
/** A new Prometheus takes ten seconds and its own start to scrape for the first time; the prequeue is to be seen too. */
const OPENS_IN = 25;
/** The load comes while the sale is about to open. */
const LOAD_BEFORE = 8;
const problems = [];
const must = (holds, problem) => holds || problems.push(problem);

const text = async (url) => (await fetch(url)).text();

async function scene() {
  const form = distributed ? ["--distributed"] : [];
  const demo = start("demo", options["--doorline"], [
    "demo",
    ...form,
    "--shoppers",
    String(sale.shoppers),
    "--stock",
    String(sale.stock),
    "--seed",
    "7",
    "--opens-in",
    String(OPENS_IN),
  ]);
  const said = await until("the demo's addresses", 90, async () =>
    demo.said.text.match(/shop +(http:\S+)\/drops[\s\S]*metrics +http:\/\/(\S+)\/metrics/),
  );
  const [, shop, admin] = said;
  const admins = distributed ? fleet(demo.child.pid).serving.map(({ admin }) => admin) : [admin];
  const base = await prometheus(admins);
  return { demo, shop, admins, base };
}

/** What a series is called on the panel. */
const legend = (form, labels) => form.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? "");

/** Every value of every series of one expression, since the beginning. Grafana's rate window is what it makes of ours. */
async function answers(base, one, from, to) {
  const expr = one.expr.replaceAll("$drop", "aurora").replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m");
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

/** What is drawn: a picture for each dashboard. */
const DRAWN = {
  "drop.json": ["Waiting", "Joined and called", "Stock", "Chance of those who wait", "Inside", "Waits"],
  "checkout.json": ["Orders on their way", "Orders at an end", "Drain rate", "Calls per second"],
  "machine.json": ["Requests by route", "Time to answer: 99 in 100", "Processor", "Memory"],
};

function drawAll(lines, from, to) {
  const how = distributed ? "doorline demo --distributed" : "doorline demo";
  const note = `Drawn from what Prometheus answered during \`${how} --shoppers ${sale.shoppers} --stock ${sale.stock}\`; no screenshot of Grafana.`;
  for (const [board, titles] of Object.entries(DRAWN)) {
    const drawn = titles.map((title) => {
      const one = lines.get(`${board}: ${title}`);
      if (!one) throw new Error(`there is no panel ${board}: ${title}`);
      return one;
    });
    const name = board.replace(".json", "");
    writeFileSync(join(folder, `${name}.svg`), picture(`A sale: the ${name}`, note, drawn, from, to));
  }
  return lines.size;
}

async function askEverything(base, from, to) {
  const asked = expressions();
  const [panels, lines] = [new Map(), new Map()];
  for (const one of asked) {
    try {
      const series = await answers(base, one, from, to);
      const values = series.flatMap(({ at }) => [...at.values()]);
      if (one.annotation) continue;
      must(folder || values.length > 0, `${one.where}: nothing came of ${one.expr}`);
      const doubt = plausible(one, values);
      must(!doubt, `${one.where} ${doubt}`);
      const key = `${one.board}: ${one.title}`;
      panels.set(key, [...(panels.get(key) ?? []), ...series]);
      if (one.type !== "timeseries") continue;
      const { series: others } = lines.get(key) ?? { series: [] };
      lines.set(key, { title: one.title, unit: one.unit, series: [...others, ...series] });
    } catch (error) {
      problems.push(`${one.where}: ${error.message}`);
    }
  }
  if (folder) return drawAll(lines, from, to);
  for (const [key, expectation] of Object.entries(expected(distributed))) {
    const series = panels.get(key);
    if (!series) problems.push(`expected.mjs: there is no panel ${key}`);
    else for (const complaint of expectation(series)) problems.push(`${key}: ${complaint}`);
  }
  return asked.length;
}

/** The texts that Prometheus scrapes: clean to promtool, every family of them known to the tree, and all of those there. */
function judge(texts) {
  const known = metrics();
  const live = new Set();
  for (const scraped of texts) {
    lint(scraped);
    for (const [, name, kind] of scraped.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
      live.add(name);
      must(known.get(name)?.kind === kind, `${name}: published as a ${kind}, not found in the code as such`);
    }
  }
  for (const name of known.keys()) must(live.has(name) || name in SILENT, `${name}: in the code, but not published`);
  return live.size;
}

function lint(scraped) {
  try {
    execFileSync("promtool", ["check", "metrics"], {
      input: scraped,
      encoding: "utf8",
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (error) {
    problems.push(`promtool check metrics: ${error.stdout}${error.stderr}`);
  }
}

/** The processes of a distributed sale, as the demo's report names them. */
const MEMBERS = ["gateway-1", "gateway-2", "worker-1", "worker-2"];

/** All of them took part in it: by the report each gateway answered shoppers, and each worker called the provider. */
function judgeShares(report) {
  const shares = report.matchAll(/^ +(\S+) (?:answered (\d+) requests|made (\d+) calls to the provider)$/gm);
  const did = new Map([...shares].map(([, member, answered, made]) => [member, Number(answered ?? made)]));
  for (const member of MEMBERS) {
    must(did.get(member) > 0, `${member} took no part in the sale: ${did.get(member) ?? "not in the report"}`);
  }
}

/** The scenarios of k6, against a sale that opens at that second. */
async function load(shop, opensAt) {
  await pause((opensAt - LOAD_BEFORE) * 1000 - Date.now());
  return runScenarios(options["--k6"], shop);
}

try {
  const from = Math.floor(Date.now() / 1000);
  const { demo, shop, admins, base } = await scene();
  const over = until("the end of the sale", 150, async () => {
    if (demo.child.exitCode !== null) throw new Error(demo.said.text);
    return demo.said.text.includes("Still serving");
  });
  const [, loaded] = await Promise.all([over, options["--k6"] && load(shop, from + OPENS_IN)]);
  problems.push(...(loaded?.problems ?? []));
  // Two scrapes and evaluations more, so that the last figures are seen.
  await pause(3_000);
  must(admins.length === (distributed ? MEMBERS.length : 1), `${admins.length} processes were watched`);
  if (distributed) judgeShares(demo.said.text);
  const asked = await askEverything(base, from, Math.floor(Date.now() / 1000));
  const published = judge(await Promise.all(admins.map((admin) => text(`http://${admin}/metrics`))));
  const fired = await ask(base, "query_range", {
    query: 'ALERTS{alertstate="firing"}',
    start: from,
    end: Date.now() / 1000,
    step: 1,
  });
  must(fired.length === 0, `alerts in a sound sale: ${fired.map(({ metric }) => metric.alertname).join(", ")}`);
  if (problems.length === 0) {
    console.log(`live, ${distributed ? "distributed" : "one process"}: ${asked} expressions answered, ${published} families published, no alert`);
    if (loaded) console.log(`k6: ${loaded.ran} scenarios are green, ${loaded.refused} spoilt ones are red`);
  } else console.error(`${problems.join("\n")}\n${demo.said.text}`);
} catch (error) {
  problems.push(error.message);
  console.error(error.message);
} finally {
  await finish(distributed ? 90 : 15);
}
process.exit(problems.length > 0 ? 1 : 0);
