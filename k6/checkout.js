// Everybody who is let in buys, clicking twice. One key makes one order, and each order comes to an end.
import { Counter } from "k6/metrics";
import { arrive, buy, enter, limits, number, once, shoppers } from "./shopper.js";

const RAMP = 5;
const unfinished = new Counter("orders_unfinished");
const bought = new Counter("orders_ended");

export const options = {
  ...once(shoppers, RAMP),
  thresholds: limits({
    orders_unfinished: ["count==0"],
    orders_ended: ["count>0"],
    order_ms: [`p(99)<${number("ORDER_P99_MS", 500)}`],
  }),
};

export default function () {
  arrive(RAMP);
  if (!enter()) return;
  const state = buy();
  if (["paid", "declined", "released", "refunded"].includes(state)) bought.add(1);
  else if (state !== "refused") unfinished.add(1);
}
