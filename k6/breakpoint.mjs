// Raises the load step by step until the deployment at BASE_URL gives way, and says where and at what.
// Usage: breakpoint.mjs K6. RATE_FIRST (20), RATE_MAX (2000) shoppers per second, DURATION (10) seconds a step.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const number = (name, fallback) => Number(process.env[name] || fallback);
const seconds = number("DURATION", 10);
/** What each stage may take, in milliseconds: the slowest of a hundred. */
const STAGES = {
  page: number("PAGE_P99_MS", 250),
  join: number("JOIN_P99_MS", 250),
  poll: number("POLL_P99_MS", 100),
  claim: number("CLAIM_P99_MS", 250),
  order: number("ORDER_P99_MS", 500),
};
const scratch = mkdtempSync(join(tmpdir(), "doorline-breakpoint-"));

function step(rate) {
  const summary = join(scratch, `${rate}.json`);
  const env = { ...process.env, RATE: String(rate), DURATION: String(seconds), K6_NO_USAGE_REPORT: "true" };
  const words = [
    "run",
    "--quiet",
    "--no-color",
    "--summary-export",
    summary,
    join(import.meta.dirname, "breakpoint.js"),
  ];
  return new Promise((done, failed) => {
    execFile(process.argv[2], words, { env, timeout: (seconds + 60) * 1000 }, (error, said, complaints) =>
      error
        ? failed(new Error(`k6 ended with ${error.code}:\n${said}${complaints}`))
        : done(JSON.parse(readFileSync(summary, "utf8")).metrics),
    );
  });
}

/** What gave way, if anything did. */
function broken(metrics, rate) {
  const slow = Object.entries(STAGES).filter(([stage, limit]) => metrics[`${stage}_ms`]?.["p(99)"] > limit);
  const worst = slow.sort(
    ([one, a], [other, b]) => metrics[`${other}_ms`]["p(99)"] / b - metrics[`${one}_ms`]["p(99)"] / a,
  )[0];
  if (worst)
    return `${worst[0]}: the slowest in a hundred took ${Math.round(metrics[`${worst[0]}_ms`]["p(99)"])} ms, ${worst[1]} are allowed`;
  if (metrics.http_req_failed.value > 0.001)
    return `${(metrics.http_req_failed.value * 100).toFixed(1)} % of the requests failed`;
  const unsent = metrics.dropped_iterations?.count ?? 0;
  return unsent > rate * seconds * 0.01
    ? `${unsent} shoppers could not be sent in time, by k6 or for want of answers`
    : "";
}

const row = (cells) => console.log(`| ${cells.join(" | ")} |`);

try {
  row(["shoppers per second", "requests per second", ...Object.keys(STAGES).map((stage) => `${stage}, p99 ms`)]);
  row(Array(2 + Object.keys(STAGES).length).fill("---:"));
  const most = number("RATE_MAX", 2000);
  let found = "";
  for (let rate = number("RATE_FIRST", 20); rate <= most && !found; rate = Math.ceil(rate * 1.5)) {
    const metrics = await step(rate);
    const taken = Object.keys(STAGES).map((stage) => metrics[`${stage}_ms`]?.["p(99)"]);
    row([
      rate,
      Math.round(metrics.http_reqs.count / seconds),
      ...taken.map((ms) => (ms === undefined ? "" : ms.toFixed(1))),
    ]);
    found = broken(metrics, rate);
    if (found) console.log(`\nGives way at ${rate} new shoppers per second: ${found}.`);
  }
  if (!found) console.log(`\nHolds at ${most} new shoppers per second: raise RATE_MAX.`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
