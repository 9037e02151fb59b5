// One step of `make breakpoint`: RATE new shoppers per second for DURATION, none of whom waits between
// two steps. Limits are looked at by breakpoint.mjs, which goes on until one is broken.
import { claim, join, number, poll, reserve, seconds, visit } from "./shopper.js";

const rate = number("RATE", 20);

export const options = {
  scenarios: {
    // A shopper's steps take some milliseconds while all is well; who takes a second each is many at once.
    crowd: {
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      duration: `${seconds}s`,
      preAllocatedVUs: rate,
      maxVUs: rate * 2,
      gracefulStop: "5s",
    },
  },
  summaryTrendStats: ["p(99)"],
};

export default function () {
  visit();
  let mine = join();
  for (let polls = 0; mine && polls < 5; polls += 1) mine = poll(mine);
  if (mine && mine.state === "called" && claim(Date.now())) reserve();
}
