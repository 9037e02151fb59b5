// What every scenario shares: where the deployment is, one shopper's steps, what is measured, and the
// limits that turn a run red. Nothing is imported from elsewhere.
import http from "k6/http";
import { sleep } from "k6";
import { Counter, Trend } from "k6/metrics";

const text = (name, fallback) => __ENV[name] || fallback;
export const number = (name, fallback) => Number(__ENV[name] || fallback);

/** Where shoppers connect, and what is for sale there. */
export const base = text("BASE_URL", "http://localhost:8080").replace(/\/$/, "");
export const drop = text("DROP", "aurora");
const page = text("ENTRY", `/drops/${drop}`);
const sku = text("SKU", "AUR-42");
const card = text("CARD", "pm_card_visa");
const api = `${base}/.doorline/v1`;

/** How many shoppers, and for how long. */
export const shoppers = number("SHOPPERS", 100);
export const seconds = number("DURATION", 60);

const joins = new Counter("joins");
const pageMs = new Trend("page_ms", true);
const joinMs = new Trend("join_ms", true);
const pollMs = new Trend("poll_ms", true);
const claimMs = new Trend("claim_ms", true);
const orderMs = new Trend("order_ms", true);
const paid = new Counter("paid");
const placesLost = new Counter("places_lost");
const positionsBack = new Counter("positions_back");
const ordersLost = new Counter("orders_lost");

// Refusals are answers. A 5xx or no answer at all is a failure.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 499 }));

/** The limits that every scenario keeps to, and its own. Each can be set from outside. */
export function limits(own) {
  return {
    http_req_failed: [`rate<=${number("FAILED_MAX", 0.001)}`],
    places_lost: ["count==0"],
    positions_back: ["count==0"],
    orders_lost: ["count==0"],
    join_ms: [`p(99)<${number("JOIN_P99_MS", 250)}`],
    poll_ms: [`p(99)<${number("POLL_P99_MS", 100)}`],
    ...own,
  };
}

/** Every shopper once, each arriving at some moment of the first `over` seconds. */
export const once = (count, over) => ({
  scenarios: {
    crowd: { executor: "per-vu-iterations", vus: count, iterations: 1, maxDuration: `${seconds + over + 30}s` },
  },
});

export const arrive = (over) => sleep(Math.random() * over);

function ask(method, url, name, body, headers = {}) {
  const json = body === undefined ? null : JSON.stringify(body);
  const all = { Accept: "application/json", "Content-Type": "application/json", ...headers };
  return http.request(method, url, json, { headers: all, tags: { name }, redirects: 0 });
}

const parsed = (answer) => {
  try {
    return answer.json() || {};
  } catch (_) {
    return {};
  }
};

/** What an error's `type` ends with. */
const problem = (answer) =>
  String(parsed(answer).type || "")
    .split(/[/:#]/)
    .pop();

/** The drop as everybody may see it. */
export function look() {
  const answer = ask("GET", `${api}/drops/${drop}`, "drop");
  pollMs.add(answer.timings.duration);
  return parsed(answer);
}

/** Opens the protected page; the first answer carries the visitor cookie. */
export function visit() {
  const answer = http.get(base + page, { headers: { Accept: "text/html" }, tags: { name: "page" }, redirects: 0 });
  pageMs.add(answer.timings.duration);
}

/** Takes a place. What comes back is the ticket, or nothing where the drop is over. */
export function join() {
  for (let tries = 0; tries < 10; tries += 1) {
    const answer = ask("POST", `${api}/drops/${drop}/ticket`, "join");
    if (answer.status >= 200 && answer.status < 300) {
      joins.add(1);
      joinMs.add(answer.timings.duration);
      return parsed(answer);
    }
    if (answer.status === 409 || answer.status === 410) return null;
    sleep(Number(answer.headers["Retry-After"]) || 0.5);
    visit();
  }
  return null;
}

/** Whether a number may be had without the cookie of a first visit. */
export const joinBare = () => ask("POST", `${api}/drops/${drop}/ticket`, "join-bare");

/** Asks for my place. A number that changes or a position that goes back is a broken promise. */
export function poll(before) {
  const answer = ask("GET", `${api}/drops/${drop}/ticket`, "poll");
  pollMs.add(answer.timings.duration);
  if (answer.status !== 200) {
    if (answer.status === 401 || answer.status === 404) placesLost.add(1);
    return { ...before, poll_after_ms: 1000 };
  }
  const ticket = parsed(answer);
  if (before.number !== undefined && ticket.number !== before.number) placesLost.add(1);
  // Before the draw a position is a guess, and nobody promises it.
  if (before.state === "waiting" && ticket.state === "waiting" && ticket.position > before.position)
    positionsBack.add(1);
  return ticket;
}

/** Waits as the page does, until the state is one of `states` or the time is over. */
export function wait(ticket, states, until = Date.now() + seconds * 1000) {
  let mine = ticket;
  while (!states.includes(mine.state) && Date.now() < until) {
    sleep(Math.min(Math.max(mine.poll_after_ms || 1000, 200), 5000) / 1000);
    mine = poll(mine);
  }
  return mine;
}

export const OVER = ["lapsed", "left", "sold_out", "ended"];

/** Turns up after the call. Says whether the door opened. */
export function claim(until = Date.now() + seconds * 1000) {
  do {
    const answer = ask("POST", `${api}/drops/${drop}/admission`, "claim");
    if (answer.status === 200) {
      claimMs.add(answer.timings.duration);
      return true;
    }
    if (answer.status !== 429 && problem(answer) !== "not-called") return false;
    sleep(Number(answer.headers["Retry-After"]) || 0.5);
  } while (Date.now() < until);
  return false;
}

export const leave = () => ask("DELETE", `${api}/drops/${drop}/ticket`, "leave");

/** Comes, waits and is let in; says whether. */
export function enter() {
  const until = Date.now() + seconds * 1000;
  visit();
  const ticket = join();
  if (!ticket) return false;
  const called = wait(ticket, ["called", "admitted", ...OVER], until);
  return !OVER.includes(called.state) && ["called", "admitted"].includes(called.state) && claim(until);
}

/** Buys one unit, clicking twice. One key must make one order. What comes back is its last state. */
export function buy() {
  const key = `k6-${__VU}-${__ITER}-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  const body = JSON.stringify({ items: [{ sku, quantity: 1 }], payment_method: card });
  const headers = { Accept: "application/json", "Content-Type": "application/json", "Idempotency-Key": key };
  const click = {
    method: "POST",
    url: `${api}/drops/${drop}/orders`,
    body,
    params: { headers, tags: { name: "order" } },
  };
  const answers = http.batch([click, click]).filter((answer) => answer.status >= 200 && answer.status < 300);
  if (answers.length === 0) return "refused";
  answers.forEach((answer) => orderMs.add(answer.timings.duration));
  const ids = answers.map((answer) => parsed(answer).order);
  if (ids.some((id) => id !== ids[0])) ordersLost.add(1);
  return watch(ids[0]);
}

/** Reserves one unit and leaves it at that: it goes back when its time is over. */
export function reserve() {
  const headers = { "Idempotency-Key": `k6-${__VU}-${__ITER}-${Date.now()}-${Math.random().toString(36).slice(2)}` };
  const answer = ask("POST", `${api}/drops/${drop}/orders`, "order", { items: [{ sku, quantity: 1 }] }, headers);
  if (answer.status === 201) orderMs.add(answer.timings.duration);
}

function watch(order) {
  let state = "accepted";
  for (const until = Date.now() + seconds * 1000; Date.now() < until; sleep(0.5)) {
    const answer = ask("GET", `${api}/orders/${order}`, "order-state");
    if (answer.status !== 200) {
      ordersLost.add(1);
      return "lost";
    }
    state = parsed(answer).state;
    if (["paid", "declined", "released", "refunded"].includes(state)) break;
  }
  if (state === "paid") paid.add(1);
  return state;
}
