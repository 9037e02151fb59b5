// Shoppers who close the tab and come back: the place is still theirs. Those who leave for good give it up.
import { sleep } from "k6";
import { Counter } from "k6/metrics";
import { OVER, arrive, join, leave, limits, number, once, poll, shoppers, visit } from "./shopper.js";

const RAMP = 5;
const away = number("AWAY_SECONDS", 10);
const kept = new Counter("places_kept");
const stayed = new Counter("left_and_stayed");

export const options = {
  ...once(shoppers, RAMP),
  thresholds: limits({ joins: ["count>0"], places_kept: ["count>0"], left_and_stayed: ["count==0"] }),
};

export default function () {
  arrive(RAMP);
  visit();
  const ticket = join();
  if (!ticket) return;
  sleep(away);
  visit();
  const again = poll(ticket);
  if (again.number === ticket.number) kept.add(1);
  if (OVER.includes(again.state)) return;
  leave();
  if (poll({}).state === "waiting") stayed.add(1);
}
