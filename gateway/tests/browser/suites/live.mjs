// What the page does over time, against an API whose every answer the test decides.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { shopper } from "../browser.mjs";

const words = JSON.parse(readFileSync(new URL("../words.json", import.meta.url)));
const soon = { timeout: 8000 };
const problem = (name) => ({ type: `https://doorline.dev/problems/${name}`, title: name });

const visit = async (browser, mock, room, options = {}) => {
  mock.room = room;
  const session = await shopper(browser, options);
  await session.page.goto(`${mock.base}/drops/aurora`);
  return session;
};
const shows = (page, selector, text) =>
  page.waitForFunction(([s, t]) => document.querySelector(s)?.textContent.includes(t), [selector, text], soon);
const state = (page, name) => page.waitForFunction((n) => document.documentElement.dataset.state === n, name, soon);
const until = async (what, check, patience = soon.timeout) => {
  const end = Date.now() + patience;
  while (!(await check())) {
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};

export const live = (browser, mock) => {
  const scenario = (name, run) => test(name, async () => {
    mock.reset();
    const opened = [];
    const go = async (...args) => {
      const session = await visit(browser, mock, ...args);
      opened.push(session);
      return session;
    };
    try {
      await run(go);
      for (const { faults } of opened) assert.deepEqual(faults, []);
    } finally {
      for (const { context } of opened) await context.close();
    }
  });

  scenario("position falls live, in the number, the sentence and the tab", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    await shows(page, "title", "#42 · Aurora");
    mock.push({ position: 7, wait: { min_seconds: 0, max_seconds: 61 } });
    await shows(page, "[data-ahead]", "6 people are ahead of you.");
    assert.equal(await page.title(), "#7 · Aurora, first edition");
    assert.equal(await page.locator("[data-face=word] .unseen").textContent(), "7");
    assert.equal(await page.locator("[data-wait]").textContent(), "up to 2 minutes");
    const done = await page.locator(".frame-done").getAttribute("stroke-dasharray");
    assert.equal(done, `${(1.5 + (98.5 * 35) / 41).toFixed(2)} 100`);
  });

  scenario("a lagging answer does not push the shopper back, a new ticket may", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ position: 30 });
    await shows(page, "[data-ahead]", "29 people");
    mock.push({ position: 35, notice: "still here" });
    await shows(page, "[data-notice]", "still here");
    assert.equal(await page.locator("[data-ahead]").textContent(), "29 people are ahead of you.");
    mock.push({ position: 88, number: 2000 });
    await shows(page, "[data-ahead]", "87 people");
  });

  scenario("of several tabs one holds the stream and all stay true", async (go) => {
    const { page, context } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    const tabs = [page];
    for (let tab = 0; tab < 7; tab++) {
      const next = await context.newPage();
      await next.goto(`${mock.base}/drops/aurora`);
      tabs.push(next);
    }
    mock.push({ position: 9 });
    for (const tab of tabs) await shows(tab, "[data-ahead]", "8 people");
    assert.equal(mock.streams.size, 1);
    await tabs[0].close();
    await until("another tab takes over", () => mock.streams.size === 1);
  });

  scenario("script words every figure as the server does", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    for (const [min_seconds, max_seconds, text] of words.wait) {
      mock.push({ wait: { min_seconds, max_seconds } });
      await page.waitForFunction((t) => document.querySelector("[data-wait]").textContent === t, text, soon);
    }
    for (const [position, text] of words.ahead) {
      mock.push({ position, number: position });
      await page.waitForFunction((t) => document.querySelector("[data-ahead]").textContent === t, text, soon);
    }
    for (const [available, reserved, sold, text] of words.stock) {
      mock.push({ stock: { a: { available, reserved, sold } } });
      await page.waitForFunction((t) => document.querySelector("[data-stock]").textContent === t, text, soon);
    }
  });

  scenario("countdown ticks by the server's clock and names the shopper's own time", async (go) => {
    mock.ticket.body = { state: "prequeue", poll_after_ms: 60000 };
    const { page } = await go("prequeue", { timezoneId: "America/New_York", locale: "en-GB" });
    const shown = () => page.locator("[data-face=word]").textContent();
    const first = await shown();
    assert.match(first, /^12:3\d$/);
    await until("tick", async () => (await shown()) < first);
    assert.match(await page.locator("[data-view=prequeue] time").textContent(), /27 November.*04:12/);
  });

  scenario("at the start the page looks again by itself and shows the place", async (go) => {
    mock.ticket.body = { state: "prequeue", opens_at: "2026-11-27T09:00:01Z", now: "2026-11-27T09:00:00Z", poll_after_ms: 60000 };
    const { page } = await go("prequeue");
    await until("stream", () => mock.streams.size === 1);
    mock.ticket.body = { state: "waiting", position: 311, number: 1284, poll_after_ms: 60000 };
    await state(page, "waiting");
    await shows(page, "[data-ahead]", "310 people");
  });

  scenario("a called shopper is let in without touching anything", async (go) => {
    mock.admission = { status: 200, body: { return_to: "/shop" } };
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ state: "called" });
    await page.waitForURL("**/shop", soon);
    assert.equal(mock.count("POST", "/.doorline/v1/drops/aurora/admission"), 1);
    assert.deepEqual(JSON.parse(mock.log.find((l) => l.path.endsWith("/admission")).body), { return_to: "/drops/aurora" });
  });

  scenario("a full room says next, waits as told, and goes in", async (go) => {
    mock.admission = { status: 429, headers: { "retry-after": "1" }, body: problem("room-full") };
    mock.ticket.body = { state: "called", number: 1284, poll_after_ms: 1000 };
    const { page } = await go("called");
    await state(page, "room_full");
    assert.equal(await page.title(), "You are next · Aurora, first edition");
    mock.push({ state: "called" });
    mock.admission = { status: 200, body: { return_to: "/shop" } };
    await page.waitForURL("**/shop", soon);
  });

  scenario("a page that was loaded as next claims when told, whatever its stream says meanwhile", async (go) => {
    mock.admission = { status: 200, body: { return_to: "/shop" } };
    mock.ticket.body = { state: "called", number: 1284, poll_after_ms: 60000 };
    const { page } = await go("room_full");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ notice: "soon" });
    await shows(page, "[data-notice]", "soon");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.state), "room_full");
    await page.waitForURL("**/shop", { timeout: 15000 });
    assert.equal(mock.count("POST", "/.doorline/v1/drops/aurora/admission"), 1);
  });

  scenario("a second tab that was loaded as next claims as well, though it only polls", async (go) => {
    const { context } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.admission = { status: 200, body: { return_to: "/shop" } };
    mock.ticket.body = { state: "called", number: 1284, poll_after_ms: 60000 };
    mock.room = "room_full";
    const second = await context.newPage();
    await second.goto(`${mock.base}/drops/aurora`);
    await second.waitForURL("**/shop", { timeout: 15000 });
    assert.equal(mock.streams.size, 1);
  });

  scenario("after a claim that came too early somebody still watches over a silent stream", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    // A silent stream is asked about after three quarters of a minute: here after a second and a half.
    await page.addInitScript(() => {
      const usual = window.setTimeout;
      window.setTimeout = (run, ms, ...more) => usual(run, ms > 30000 ? ms / 30 : ms, ...more);
    });
    await page.reload();
    const api = "/.doorline/v1/drops/aurora";
    await until("the new page's stream", () => mock.count("GET", `${api}/ticket/events`) > 1 && mock.streams.size === 1);
    mock.push({ state: "called" });
    mock.ticket.body = { ...mock.ticket.body, state: "waiting" };
    await until("a claim", () => mock.count("POST", `${api}/admission`) === 1);
    const refused = Date.now();
    await until("a look because of it", () => mock.log.some((l) => l.at > refused && l.path === `${api}/ticket`));
    mock.ticket.body = { ...mock.ticket.body, position: 7 };
    await shows(page, "[data-ahead]", "6 people");
    assert.equal(mock.streams.size, 1, "the stream was open all the time");
  });

  scenario("what a pause ends with is asked of the server's page before it is believed", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ state: "paused" });
    await state(page, "paused");
    // The store knows of a session, of which the server that is asked first does not.
    mock.room = "called";
    mock.admission = { status: 200, body: { return_to: "/shop" } };
    mock.push({ state: "lapsed" });
    mock.ticket.body = { ...mock.ticket.body, state: "called" };
    await page.waitForURL("**/shop", soon);
    assert.equal(mock.count("GET", "/drops/aurora"), 2);
  });

  scenario("a missed turn is said at once, and joining again gives a new place", async (go) => {
    mock.admission = { status: 410, body: problem("lapsed") };
    mock.ticket.body = { state: "called" };
    const { page } = await go("called");
    await state(page, "lapsed");
    const polls = mock.log.length;
    await page.waitForTimeout(1500);
    assert.equal(mock.log.length, polls, "a page that has nothing to wait for asks nothing");
    mock.ticket.body = { state: "waiting", position: 900, number: 2001, poll_after_ms: 1000 };
    await page.getByRole("button", { name: "Join again" }).click();
    await shows(page, "[data-ahead]", "899 people");
    assert.deepEqual(JSON.parse(mock.log.find((l) => l.method === "POST" && l.path.endsWith("/ticket")).body), { rejoin: true });
  });

  scenario("a place that was used up is not called given up", async (go) => {
    mock.admission = { status: 410, body: problem("admission-used") };
    mock.ticket.body = { state: "called" };
    const { page } = await go("called");
    await state(page, "finished");
    await page.getByRole("heading", { name: "Your visit has ended." }).waitFor(soon);
    assert.match(await page.locator("[data-view=finished]").innerText(), /Orders that you placed are not affected/);
  });

  scenario("joining again at a busy server waits as told, on the same page", async (go) => {
    mock.admission = { status: 410, body: problem("lapsed") };
    mock.ticket.body = { state: "called" };
    const { page } = await go("called");
    await state(page, "lapsed");
    mock.ticket = { status: 503, headers: { "retry-after": "2" } };
    await page.getByRole("button", { name: "Join again" }).click();
    await page.getByRole("button", { name: /Trying again in \d seconds/ }).waitFor(soon);
    mock.ticket = { status: 201, body: { state: "waiting", position: 900, number: 2001, poll_after_ms: 1000 } };
    await shows(page, "[data-ahead]", "899 people");
    const joins = mock.log.filter((l) => l.method === "POST" && l.path.endsWith("/ticket"));
    assert.equal(joins.length, 2);
    assert.ok(joins[1].at - joins[0].at >= 1950, "never earlier than told");
    assert.ok(joins.every((l) => l.body.startsWith("{")), "the form itself was not sent");
  });

  scenario("leaving takes two steps and ends the connection", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    assert.equal(await page.getByRole("button", { name: /give up my place/ }).isVisible(), false);
    await page.getByText("Leave the queue").click();
    await page.getByRole("button", { name: /give up my place/ }).click();
    await state(page, "left");
    assert.equal(mock.count("DELETE", "/.doorline/v1/drops/aurora/ticket"), 1);
    await until("stream closed", () => mock.streams.size === 0);
  });

  scenario("without events the page polls", async (go) => {
    mock.streaming = false;
    const { page } = await go("waiting");
    await until("polls", () => mock.count("GET", "/.doorline/v1/drops/aurora/ticket") >= 2);
    mock.push({ position: 5 });
    await shows(page, "[data-ahead]", "4 people");
    await shows(page, "[data-link]", "Up to date");
  });

  scenario("a lost server is admitted to, asked ever more rarely, and found again", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.streaming = false;
    mock.ticket = { status: 500 };
    const since = Date.now();
    mock.cutStreams();
    await shows(page, "[data-link]", "Reconnecting");
    await until("three failures", () => mock.log.filter((l) => l.at >= since && l.path.endsWith("/ticket")).length >= 3, 15000);
    const asked = mock.log.filter((l) => l.at >= since && l.path.endsWith("/ticket")).map((l) => l.at);
    assert.ok(asked[2] - asked[1] >= 1000, `asked again after ${asked[2] - asked[1]} ms`);
    assert.equal(await page.locator("[data-ahead]").textContent(), "41 people are ahead of you.");
    mock.streaming = true;
    mock.ticket = { status: 200, body: { state: "waiting", position: 12, number: 1284, poll_after_ms: 500 } };
    await page.waitForFunction(() => document.querySelector("[data-ahead]").textContent.startsWith("11 "), null, { timeout: 15000 });
    await until("stream again", () => mock.streams.size === 1);
    await shows(page, "[data-link]", "Live");
  });

  // Chance decides when a page returns; here it always says the same.
  const withChance = async (page, chance) => {
    await page.addInitScript((fixed) => { Math.random = () => fixed; }, chance);
    // A reload alone would leave the stream of the page before to be taken for that of the new one.
    const url = page.url();
    await page.goto("about:blank");
    await until("the stream before ends", () => mock.streams.size === 0);
    await page.goto(url);
  };
  const asksSince = (since) => mock.log.filter((l) => l.at >= since && l.path.endsWith("/ticket")).map((l) => l.at - since);

  scenario("pages that lose one server come to the next over several seconds", async (go) => {
    const early = await go("waiting");
    await withChance(early.page, 0);
    await until("stream", () => mock.streams.size === 1);
    let since = Date.now();
    mock.cutStreams();
    await until("first ask", () => asksSince(since).length > 0);
    const first = asksSince(since)[0];
    await early.context.close();
    const late = await go("waiting");
    await withChance(late.page, 0.999);
    await until("stream", () => mock.streams.size === 1);
    since = Date.now();
    mock.cutStreams();
    await until("last ask", () => asksSince(since).length > 0);
    const last = asksSince(since)[0];
    assert.ok(first >= 450 && last - first > 3000, `between ${first} and ${last} ms`);
  });

  scenario("who is told when to return does so not earlier, and not all at once", async (go) => {
    mock.streaming = false;
    const waits = [];
    for (const chance of [0, 0.999]) {
      mock.ticket = { status: 503, headers: { "retry-after": "4" } };
      const { page, context } = await go("waiting");
      const since = Date.now();
      await withChance(page, chance);
      await until("two asks", () => asksSince(since).length > 1, 15000);
      const asked = asksSince(since);
      waits.push(asked[1] - asked[0]);
      await context.close();
    }
    assert.ok(waits[0] >= 3950 && waits[1] - waits[0] > 1500, waits.join(" and "));
  });

  scenario("who is next returns when told, for the turn is not kept for much longer", async (go) => {
    mock.admission = { status: 429, headers: { "retry-after": "2" }, body: problem("room-full") };
    mock.ticket.body = { state: "called", number: 1284, poll_after_ms: 60000 };
    const { page } = await go("called");
    await state(page, "room_full");
    const since = Date.now();
    await withChance(page, 0.999);
    const claims = () => mock.log.filter((l) => l.at >= since && l.path.endsWith("/admission")).map((l) => l.at);
    await until("two claims", () => claims().length > 1, 15000);
    const waited = claims()[1] - claims()[0];
    assert.ok(waited >= 1950 && waited < 2900, `${waited} ms`);
  });

  scenario("offline asks nothing, says so, and recovers", async (go) => {
    const session = await go("waiting");
    const { page, context } = session;
    await until("stream", () => mock.streams.size === 1);
    await context.setOffline(true);
    await shows(page, "[data-link]", "Offline");
    const asked = mock.log.length;
    await page.waitForTimeout(1200);
    assert.equal(mock.log.length, asked);
    mock.ticket.body.position = 3;
    await context.setOffline(false);
    await shows(page, "[data-ahead]", "2 people");
    await shows(page, "[data-link]", "Live");
  });

  scenario("paused, sold out and ended arrive without a reload", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ state: "paused", wait: null });
    await state(page, "paused");
    await shows(page, "[data-wait]", "Unknown while paused");
    await shows(page, "[data-face=sub]", "position 42 is kept");
    mock.push({ state: "waiting", position: 40 });
    await shows(page, "[data-ahead]", "39 people");
    mock.push({ stock: { a: { available: 0, reserved: 14, sold: 186 } } });
    await page.waitForFunction(() => !document.querySelector("[data-checkout]").hidden, null, soon);
    await shows(page, "[data-reserved]", "14");
    mock.push({ state: "sold_out", stock: { a: { available: 0, reserved: 0, sold: 200 } } });
    await state(page, "sold_out");
    await until("stream closed", () => mock.streams.size === 0);
  });

  scenario("news are announced, and not with every step", async (go) => {
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    await page.evaluate(() => {
      window.said = [];
      new MutationObserver(() => window.said.push(document.querySelector("[data-announce]").textContent))
        .observe(document.querySelector("[data-announce]"), { childList: true, characterData: true, subtree: true });
    });
    for (let position = 40; position > 20; position--) mock.push({ position });
    mock.push({ state: "paused" });
    await state(page, "paused");
    const said = await page.evaluate(() => window.said);
    assert.ok(said.length <= 2, said.join("; "));
    assert.match(said.at(-1), /The queue is paused/);
  });

  scenario("a shop that sends the shopper back does not make a loop", async (go) => {
    mock.admission = { status: 200, body: { return_to: "/drops/aurora" } };
    mock.ticket.body = { state: "called" };
    const { page } = await go("called");
    await until("went once", () => mock.count("GET", "/drops/aurora") === 2);
    await page.waitForTimeout(2500);
    assert.equal(mock.count("GET", "/drops/aurora"), 2);
    assert.equal(await page.getByRole("link", { name: /Continue/ }).isVisible(), true);
  });

  scenario("an answer can neither run script nor name an unknown state", async (go) => {
    mock.admission = { status: 200, body: { return_to: "javascript:window.pwned=1" } };
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    mock.push({ state: '"] , *', notice: "<img src=x onerror=window.pwned=2>", title: "<script>window.pwned=3</script>" });
    await shows(page, "[data-notice]", "<img");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.state), "waiting");
    mock.push({ state: "called" });
    await state(page, "admitted");
    await page.waitForTimeout(1200);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  });

  scenario("the Refresh header reloads for browsers without script only", async (go) => {
    mock.refresh = 1;
    const { page } = await go("waiting");
    await until("stream", () => mock.streams.size === 1);
    await page.waitForTimeout(2600);
    assert.equal(mock.count("GET", "/drops/aurora"), 1);
    await go("waiting", { javaScriptEnabled: false });
    await until("reloads", () => mock.count("GET", "/drops/aurora") >= 4);
  });

  scenario("without script: the place is shown, forms work, leaving is confirmed", async (go) => {
    const { page } = await go("waiting", { javaScriptEnabled: false });
    assert.equal(await page.locator("[data-face=word]").textContent(), "42");
    await page.getByText("Leave the queue").click();
    await page.getByRole("button", { name: /give up my place/ }).click();
    await page.getByRole("heading", { name: "You are no longer in the queue." }).waitFor(soon);
    const called = await go("called", { javaScriptEnabled: false });
    await called.page.getByRole("button", { name: "Enter now" }).click();
    await called.page.waitForURL("**/shop", soon);
    assert.match(mock.log.find((l) => l.path.endsWith("/admission")).body, /^return_to=%2Fdrops%2Faurora$/);
  });

  scenario("first contact joins by itself", async (go) => {
    const { page } = await go("joining");
    await state(page, "waiting");
    assert.equal(mock.count("POST", "/.doorline/v1/drops/aurora/ticket"), 1);
    await until("stream", () => mock.streams.size === 1);
  });

  scenario("before joining opens the page asks the public answer and joins when it may", async (go) => {
    const { page } = await go("scheduled");
    await page.waitForTimeout(400);
    assert.equal(mock.count("GET", "/.doorline/v1/drops/aurora/ticket"), 0);
    mock.publicState = { status: 200, body: { phase: "prequeue" } };
    await page.evaluate(() => { window.dispatchEvent(new Event("online")); });
    await state(page, "waiting");
    assert.equal(mock.count("POST", "/.doorline/v1/drops/aurora/ticket"), 1);
  });

  scenario("with reduced motion nothing moves", async (go) => {
    const { page } = await go("waiting", { reducedMotion: "reduce" });
    await until("stream", () => mock.streams.size === 1);
    const running = await page.evaluate(() => document.getAnimations().filter((a) => a.playState === "running").length);
    assert.equal(running, 0);
  });
};
