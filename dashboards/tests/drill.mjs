// Kills a worker, the payment provider and Redis in the middle of a distributed sale, and looks which alerts a real
// Prometheus raises: each its own within a minute after the alert's time, and no other. Before that a spike of k6's must
// be green, and red while a limit is too low for it.
//
// Usage: drill.mjs --doorline FILE --k6 FILE. Takes about five minutes, and ends what it started.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { LIMIT_BROKEN, run } from "../../k6/short.mjs";
import { ask, finish, fleet, options, prometheus, start, until } from "./stage.mjs";

/** What each alert waits for before it fires, and a minute more. */
const WITHIN_SECONDS = 30 + 60;
/** Others have this long to fire wrongly after the first. */
const OTHERS_SECONDS = 15;
/** A changed file is read by then. */
const RELOADED_SECONDS = 5;

async function alerts(base, states) {
  const found = await ask(base, "query", { query: `ALERTS{alertstate=~"${states}"}` });
  return found.map(({ metric }) => `${metric.alertname} ${metric.instance ?? metric.target ?? ""} ${metric.part ?? ""}`.trim());
}

const firing = (base) => alerts(base, "firing");

/** Hurts something; then `alert` must fire in time, and nothing beside it that did not before. */
async function drill(base, what, alert, hurt) {
  // What is on its way by now has another cause.
  const before = await alerts(base, "firing|pending");
  await hurt();
  const began = Date.now();
  const fresh = async () => (await firing(base)).filter((one) => !before.includes(one));
  const first = await until(`${alert} after ${what}`, WITHIN_SECONDS, async () => {
    const raised = await fresh();
    return raised.some((one) => one.startsWith(alert)) && raised;
  });
  const took = Math.round((Date.now() - began) / 1000);
  await pause(OTHERS_SECONDS * 1000);
  const raised = [...new Set([...first, ...(await fresh())])];
  const others = raised.filter((one) => !one.startsWith(alert));
  console.log(`${what}: ${raised.join(", ")} after ${took} s`);
  if (others.length > 0) throw new Error(`${what} raised others: ${others.join(", ")}`);
}

async function outage(provider, kind) {
  const answer = await fetch(`${provider}/sandbox/faults`, {
    method: "POST",
    headers: { authorization: "Bearer sk_test_sandbox", "content-type": "application/json" },
    body: JSON.stringify({ outage: kind }),
  });
  if (!answer.ok) throw new Error(`the provider does not take its faults: ${await answer.text()}`);
}

/** The same crowd twice: as the sale is set up, and with too few joins allowed to the one address that k6 comes from. */
async function spikes(k6, shop, config) {
  const crowd = { SHOPPERS: "400", DURATION: "20" };
  const spike = async (how, expected) => {
    const { code, said } = await run(k6, "spike.js", shop, crowd);
    if (code !== expected) throw new Error(`a spike ${how} ended with ${code}, not ${expected}:\n${said}`);
    console.log(`a spike of ${crowd.SHOPPERS} ${how}: ${code === 0 ? "green" : "red"}`);
  };
  await spike("within the limits", 0);
  const before = readFileSync(config, "utf8");
  const [exempt] = before.match(/^exempt = .*$/m);
  writeFileSync(config, before.replace(exempt, 'joins_per_address = "10/min"'));
  await pause(RELOADED_SECONDS * 1000);
  await spike("beyond a limit of 10 joins a minute", LIMIT_BROKEN);
  writeFileSync(config, before);
  await pause(RELOADED_SECONDS * 1000);
}

let failed = false;
try {
  const words = ["demo", "--distributed", "--shoppers", "6000", "--stock", "6000", "--seed", "7"];
  const demo = start("demo", options["--doorline"], words);
  await until("the sale", 90, async () => demo.said.text.includes("Come along"));
  const { serving, redis } = fleet(demo.child.pid);
  const base = await prometheus(serving.map(({ admin }) => admin));
  const provider = readFileSync(serving[0].config, "utf8").match(/api_url = "(\S+)"/)[1];
  await until("the first orders", 90, async () => {
    const [sold] = await ask(base, "query", { query: 'sum(max by (state) (doorline_orders{state="paid"}))' });
    return sold && Number(sold.value[1]) > 20;
  });
  const calm = await firing(base);
  if (calm.length > 0) throw new Error(`alerts before anything was hurt: ${calm.join(", ")}`);
  await spikes(options["--k6"], demo.said.text.match(/shop +(http:\S+)\/drops/)[1], serving[0].config);
  await drill(base, "the provider away", "DoorlineBreakerOpen", () => outage(provider, "refuse"));
  await outage(provider, "none");
  // The spikes' own traces may stay: whoever is called and never comes is a no-show.
  const open = async () => (await firing(base)).some((one) => one.startsWith("DoorlineBreakerOpen"));
  await until("the end of DoorlineBreakerOpen", 120, async () => !(await open()));
  const worker = serving.find(({ role }) => role === "worker");
  await drill(base, "a worker killed", `DoorlineDown ${worker.admin}`, async () => process.kill(worker.pid, "SIGKILL"));
  await drill(base, "Redis killed", "DoorlineNotReady", async () => process.kill(redis.pid, "SIGKILL"));
} catch (error) {
  failed = true;
  console.error(error.message);
} finally {
  // The sale brings its own processes and engines to their end, one after the other.
  await finish(90);
}
process.exit(failed ? 1 : 0);
