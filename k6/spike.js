// From nobody to SHOPPERS in ten seconds. Everybody gets a place that holds, and waits for DURATION at most.
import { OVER, arrive, join, limits, once, shoppers, visit, wait } from "./shopper.js";

const RAMP = 10;

export const options = {
  ...once(shoppers, RAMP),
  thresholds: limits({ joins: [`count>=${Math.ceil(shoppers * 0.9)}`] }),
};

export default function () {
  arrive(RAMP);
  visit();
  const ticket = join();
  if (ticket) wait(ticket, ["called", "admitted", ...OVER]);
}
