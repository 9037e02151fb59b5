// Bots without cookies, and bots that farm them. The former get no number at all; of the latter's joins
// no more than JOINS_ALLOWED pass where it is given (see rate_limit.joins_per_address; bots of one
// machine share an address). Honest pollers notice nothing.
import { sleep } from "k6";
import http from "k6/http";
import { Counter } from "k6/metrics";
import { base, joinBare, limits, look, number, seconds, shoppers, visit } from "./shopper.js";

const allowed = number("JOINS_ALLOWED", 0);
const bare = new Counter("numbers_without_cookie");
const farmed = new Counter("numbers_farmed");
const turnedAway = new Counter("bots_turned_away");

const limit = allowed > 0 ? { numbers_farmed: [`count<=${allowed}`] } : {};
const run = (exec, vus) => ({ executor: "constant-vus", vus, duration: `${seconds}s`, exec, gracefulStop: "5s" });

export const options = {
  scenarios: {
    bare: run("withoutCookies", Math.ceil(shoppers / 2)),
    farm: run("farm", Math.ceil(shoppers / 2)),
    honest: run("honest", 2),
  },
  thresholds: limits({ numbers_without_cookie: ["count==0"], bots_turned_away: ["count>0"], ...limit }),
};

const forget = () => http.cookieJar().clear(base);

export function withoutCookies() {
  forget();
  const answer = joinBare();
  (answer.status >= 200 && answer.status < 300 ? bare : turnedAway).add(1);
  sleep(0.2);
}

export function farm() {
  forget();
  visit();
  const answer = joinBare();
  if (answer.status >= 200 && answer.status < 300) farmed.add(1);
  sleep(0.5);
}

export function honest() {
  look();
  sleep(0.5);
}
