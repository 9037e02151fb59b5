// A crowd that comes before the start. Nobody is called early, and the draw changes no number.
// Start it while the drop is in its prequeue and let DURATION reach beyond the start.
import { sleep } from "k6";
import { Counter } from "k6/metrics";
import { OVER, arrive, join, limits, look, once, poll, shoppers, visit, wait } from "./shopper.js";

const RAMP = 2;
const early = new Counter("called_early");
const drawn = new Counter("drawn");

export const options = {
  ...once(shoppers, RAMP),
  thresholds: limits({ joins: ["count>0"], drawn: ["count>0"], called_early: ["count==0"] }),
};

export default function () {
  arrive(RAMP);
  visit();
  let mine = join();
  if (!mine) return;
  // Asked before the place is: what opens in between is no early call.
  for (let phase = look().phase; phase === "prequeue"; phase = look().phase) {
    sleep(1);
    const before = look().phase;
    mine = poll(mine);
    if (mine.state === "called" && before === "prequeue" && look().phase === "prequeue") early.add(1);
  }
  mine = wait(mine, ["waiting", "called", "admitted", ...OVER]);
  if (["waiting", "called", "admitted"].includes(mine.state)) drawn.add(1);
  wait(mine, ["called", "admitted", ...OVER]);
}
