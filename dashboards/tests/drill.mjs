// Kills a worker, the payment provider and Redis in the middle of a distributed sale, and looks which alerts a real
// Prometheus raises: each its own within a minute after the alert's time, and no other.
//
// Usage: drill.mjs --doorline FILE. Takes about three minutes, and ends what it started.
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { ask, finish, options, prometheus, start, until } from "./stage.mjs";

/** What each alert waits for before it fires, and a minute more. */
const WITHIN_SECONDS = 30 + 60;
/** Others have this long to fire wrongly after the first. */
const OTHERS_SECONDS = 15;

/** Every running program, its parent and its words. */
function processes() {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const parent = Number(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) \S /s, "").split(" ")[0]);
      return [{ pid: Number(pid), parent, words }];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

/** The processes of the sale: those that `pid` started. */
function fleet(pid) {
  const ours = processes().filter(({ parent }) => parent === pid);
  const word = (words, key) => words.find((one) => one.startsWith(`${key}=`))?.slice(key.length + 1);
  const serving = ours.flatMap(({ pid, words }) => {
    const admin = word(words, "admin.listen");
    if (!admin || !words.includes("serve")) return [];
    const role = words[words.indexOf("--role") + 1];
    return [{ pid, role, admin, config: words[words.indexOf("--config") + 1] }];
  });
  const redis = ours.find(({ words }) => words[0].includes("redis-server"));
  return { serving, redis };
}

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
  await drill(base, "the provider away", "DoorlineBreakerOpen", () => outage(provider, "refuse"));
  await outage(provider, "none");
  await until("calm", 120, async () => (await firing(base)).length === 0);
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
