// What the panels must show of the demo's sale, beyond what holds for every figure. Each entry takes a
// panel's series and gives its complaints.

/** The sale that is watched: small, and with fewer units than shoppers. */
export const SALE = { shoppers: 160, stock: 120, drainPerSecond: 20 };

/** What the watched process has no reason to publish. */
export const SILENT = {
  doorline_merchant_webhooks_total: "the demo's merchant has no system of its own to be told",
};

const values = (series, name) =>
  series.filter((one) => name === undefined || one.name === name).flatMap(({ at }) => [...at.values()]);
const top = (series, name) => Math.max(...values(series, name));
const last = (series, name) => [...(series.find((one) => one.name === name)?.at ?? [])].at(-1)?.[1];
const rule = (holds, complaint) => (holds ? [] : [complaint]);
const zero = (series) => rule(top(series) === 0, `is ${top(series)}, not zero`);
const between = (low, high, name) => (series) =>
  rule(
    top(series, name) >= low && top(series, name) <= high,
    `${name ?? "the greatest"} is ${top(series, name)}, not between ${low} and ${high}`,
  );

/** No series of `a` is ever above `b` at the same moment, but for `slack`. */
const below =
  (a, b, slack = 0) =>
  (series) => {
    const limit = series.find((one) => one.name === b)?.at ?? new Map();
    const over = [...(series.find((one) => one.name === a)?.at ?? [])].filter(
      ([when, value]) => limit.has(when) && value > limit.get(when) + slack,
    );
    return rule(over.length === 0 && limit.size > 0, `${a} is above ${b}: ${over.slice(0, 3)}`);
  };

/** The states of the stock add up to what was allocated: at the end to the unit, before that but for so many on their way. */
const stockAddsUp = (slack) => (series) => {
  const sums = new Map();
  for (const { at } of series) for (const [when, units] of at) sums.set(when, (sums.get(when) ?? 0) + units);
  const wrong = [...new Set(sums.values())].filter((sum) => Math.abs(sum - SALE.stock) > slack);
  const end = sums.get(Math.max(...sums.keys()));
  return [
    ...rule(wrong.length === 0, `the pool is ${wrong}`),
    ...rule(end === SALE.stock, `the pool is ${end} at the end`),
  ];
};

const { shoppers, stock, drainPerSecond } = SALE;

const ALWAYS = {
  "drop.json: Units sold": between(stock * 0.5, stock),
  "drop.json: Orders paid": between(stock * 0.5, stock),
  "drop.json: Waiting": between(shoppers * 0.1, shoppers * 2),
  "drop.json: Chance of those who wait": between(1, shoppers * 2, "likely"),
  "drop.json: Inside": below("inside", "limit"),
  "drop.json: Admissions in the last 60 seconds": below("let in", "limit"),
  "drop.json: Joined and called": (series) => [
    ...between(shoppers, shoppers * 2, "joined")(series),
    ...below("let in", "called")(series),
    ...below("called", "joined")(series),
  ],
  "drop.json: Joins and admissions per minute": between(10, shoppers * 60, "let in"),
  "drop.json: Phase": (series) => rule(top(series, "open") === 1, "was never open"),
  "drop.json: From the queue to the till": (series) =>
    rule(
      last(series, "joined") >= last(series, "let in") &&
        last(series, "let in") >= last(series, "paid") &&
        last(series, "paid") > 0,
      "more come far than set out",
    ),
  "drop.json: Waits": (series) => [
    ...below("half of them", "nine in ten")(series),
    ...below("nine in ten", "99 in 100")(series),
  ],
  "checkout.json: Books that differ": zero,
  "checkout.json: Orders parked": zero,
  "checkout.json: Breaker": zero,
  "checkout.json: Payments": zero,
  "checkout.json: Alarms": zero,
  "checkout.json: Messages put aside": zero,
  // A rate over a minute, of a series that begins in it, is told a little high.
  "checkout.json: Drain rate": below("taken to payment", "limit", drainPerSecond * 0.1 + 1),
  "checkout.json: From accepted to paid": (series) => [
    ...below("half of them", "99 in 100")(series),
    ...between(0.001, 60)(series),
  ],
  "checkout.json: Orders at an end": between(stock * 0.5, stock, "paid"),
  "checkout.json: Since the last audit": between(0, 90),
  "machine.json: Processes up": (series) => rule(Math.min(...values(series)) === 1, "a process was away"),
  "machine.json: Parts ready": (series) => rule(last(series, "") === 1, "a part is not ready"),
  "machine.json: Panics": zero,
  "machine.json: Configurations read": zero,
  "machine.json: Age of the configuration": between(0, 3_600),
  "machine.json: Requests": between(5, 20_000),
  "machine.json: Failed": zero,
  "machine.json: Processor": between(0.001, 64),
  "machine.json: Memory": between(1 << 22, 2 ** 33),
  "machine.json: Files and sockets": between(0.000_01, 0.9),
  "machine.json: Time to answer: 99 in 100": between(0.000_1, 5, "api"),
};

/** What the panels must show of a sale in one process, or on several: those read the stock each at its own moment, and are
 * seen from later on. */
export const expected = (distributed) =>
  distributed
    ? { ...ALWAYS, "drop.json: Stock": stockAddsUp(SALE.stock * 0.4) }
    : {
        ...ALWAYS,
        "drop.json: Stock": stockAddsUp(0),
        "drop.json: Phase": (series) => [
          ...ALWAYS["drop.json: Phase"](series),
          ...rule(top(series, "prequeue") === 1, "was never prequeue"),
        ],
      };
