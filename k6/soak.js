// SHOPPERS at any time, for DURATION: some buy, some leave, some just close the tab. For hours: DURATION=14400.
import { sleep } from "k6";
import { buy, enter, leave, limits, seconds, shoppers } from "./shopper.js";

export const options = {
  scenarios: { crowd: { executor: "constant-vus", vus: shoppers, duration: `${seconds}s`, gracefulStop: "30s" } },
  thresholds: limits({ joins: ["count>0"] }),
};

export default function () {
  if (!enter()) {
    leave();
    sleep(1);
    return;
  }
  sleep(Math.random() * 2);
  if (Math.random() < 0.6) buy();
}
