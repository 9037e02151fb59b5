// Runs every scenario for a few seconds against a sale that is just opening, and makes sure that a limit
// that is too low, and a door that is not there, turn a run red. Used by `make test`.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
/** What k6 ends with when a limit was not kept to. */
export const LIMIT_BROKEN = 99;
/** Seven small crowds at once, small enough to leave the sale to its own. */
const SHORT = {
  SHOPPERS: "6",
  DURATION: "14",
  RATE: "10",
  AWAY_SECONDS: "3",
  POLL_P99_MS: "1000",
  JOIN_P99_MS: "1000",
  ORDER_P99_MS: "2000",
};

/** No scenarios: the steps that they share, and the crowd that is meant to be too large. */
const OTHERS = ["shopper.js", "breakpoint.js"];

const scenarios = () => readdirSync(here).filter((name) => name.endsWith(".js") && !OTHERS.includes(name));

/** Runs a scenario, short unless `settings` say otherwise; gives what k6 ended with and what it said. */
export function run(k6, scenario, base, settings) {
  const env = { ...process.env, ...SHORT, BASE_URL: base, K6_NO_USAGE_REPORT: "true", ...settings };
  return new Promise((done) => {
    // Nothing may hold up a test for longer than this.
    execFile(
      k6,
      ["run", "--quiet", "--no-color", join(here, scenario)],
      { env, timeout: 90_000 },
      (error, said, complaints) =>
        done({ scenario, code: error ? (error.code ?? "killed") : 0, said: said + complaints }),
    );
  });
}

function strangers(scenario) {
  const imported = [
    ...readFileSync(join(here, scenario), "utf8").matchAll(/\b(?:from|import|require\()\s*"([^"]+)"/g),
  ].map(([, from]) => from);
  return imported.filter((from) => from !== "k6" && !from.startsWith("k6/") && from !== "./shopper.js");
}

/** Complaints; none where every scenario is green and every spoilt one is red. */
export async function runScenarios(k6, base) {
  const problems = [...scenarios(), ...OTHERS].flatMap((name) =>
    strangers(name).map((from) => `k6/${name} imports ${from}`),
  );
  const green = await Promise.all(scenarios().map((scenario) => run(k6, scenario, base, {})));
  for (const { scenario, code, said } of green)
    if (code !== 0) problems.push(`k6/${scenario} ended with ${code}:\n${said}`);
  const red = await Promise.all([
    run(k6, "poll.js", base, { DURATION: "2", POLL_P99_MS: "0.001" }),
    run(k6, "spike.js", "http://127.0.0.1:9", { SHOPPERS: "1", DURATION: "1" }),
  ]);
  for (const { scenario, code, said } of red)
    if (code !== LIMIT_BROKEN) problems.push(`k6/${scenario} should be red and ended with ${code}:\n${said}`);
  return { problems, ran: green.length, refused: red.length };
}
