// RATE requests per second for the drop's public state and for places, for DURATION.
import { join, limits, look, number, poll, seconds, shoppers, visit } from "./shopper.js";

const rate = number("RATE", 100);

export const options = {
  scenarios: {
    polls: {
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      duration: `${seconds}s`,
      preAllocatedVUs: shoppers,
      maxVUs: shoppers * 2,
    },
  },
  // A poller keeps its cookies from one request to the next, as a browser does.
  noCookiesReset: true,
  // What could not be sent in time was not served: a slow gateway must not slow its own test down.
  thresholds: limits({ dropped_iterations: [`count<=${Math.ceil(rate * seconds * 0.01)}`], iterations: ["count>0"] }),
};

let mine;

export default function () {
  if (mine === undefined) {
    visit();
    mine = join();
  }
  if (mine) mine = poll(mine);
  look();
}
