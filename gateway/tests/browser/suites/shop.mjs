// The demo shop's order page over time, against an orders API whose every answer the test decides: an order is watched
// from its reservation on, is not lost by an outage, and ends in words for people.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import test from "node:test";
import { shopper } from "../browser.mjs";

const SHOP = new URL("../../../../sandbox/", import.meta.url);
const API = "/.doorline/v1";
const ID = "0193f2c4-7a10-7c3e-9d55-2f6f0c1b9a77";
const soon = { timeout: 15000 };

// The product page as the shop renders it, near enough for its script: one size, one card.
const productPage = async () => {
  const template = await readFile(new URL("templates/shop/product.html", SHOP), "utf8");
  const values = { "shop.drop": "aurora", "item.sku": "AUR-42", "card.id": "pm_card_visa", count: "1" };
  const main = template.slice(template.indexOf("<section"), template.lastIndexOf("{% endblock"))
    .replace(/\{%[^%]*%\}/g, "")
    .replace(/\{\{ ([a-z_.]+) \}\}/g, (_, name) => values[name] ?? "x")
    .replace(/name="(sku|card)"/g, 'name="$1" checked');
  return `<!doctype html><html lang="en"><title>Shop</title><main>${main}</main><script src="/assets/shop.js"></script></html>`;
};

// The gateway's orders API, with one order in it.
class Orders {
  constructor() {
    this.server = createServer((request, response) => {
      this.answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
    });
    this.reset();
  }

  reset() {
    // How far the server's clock is ahead of the browser's.
    this.ahead = 0;
    this.order = { order: ID, state: "reserved", items: [{ sku: "AUR-42", quantity: 1 }], total: { amount: 12900, currency: "eur" } };
    this.refusals = {};
    this.log = [];
    for (const stream of this.streams ?? []) stream.destroy();
    this.streams = new Set();
  }

  // Reserved until so many seconds from now, by the server's clock.
  reservedFor(seconds) {
    this.order.reserved_until = new Date(Date.now() + this.ahead + seconds * 1000).toISOString();
  }

  // What the order has become; told by the stream, and to who asks.
  become(news) {
    this.order = { ...this.order, ...news };
    for (const stream of this.streams) stream.write(`data: ${JSON.stringify(this.order)}\n\n`);
  }

  async answer(request, response) {
    const path = new URL(request.url, "http://mock").pathname;
    request.resume();
    response.setHeader("date", new Date(Date.now() + this.ahead).toUTCString());
    if (path === "/drops/aurora") return response.writeHead(200, { "content-type": "text/html" }).end(await productPage());
    if (path === "/assets/shop.js") {
      return response.writeHead(200, { "content-type": "text/javascript" }).end(await readFile(new URL("assets/shop.js", SHOP)));
    }
    const asked = `${request.method} ${path.replace(API, "").replace(ID, "ID")}`;
    this.log.push(asked);
    const refusal = this.refusals[asked];
    if (refusal) return this.json(response, refusal.status, refusal.body ?? {});
    if (asked === "GET /orders/ID/events") {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${JSON.stringify(this.order)}\n\n`);
      this.streams.add(response);
      return response.on("close", () => this.streams.delete(response));
    }
    if (asked === "POST /drops/aurora/orders") return this.json(response, 201, this.order);
    if (asked === "GET /orders/ID") return this.json(response, 200, this.order);
    if (asked === "GET /drops/aurora") return this.json(response, 200, { poll_after_ms: 15000 });
    return this.json(response, 404, {});
  }

  json(response, status, body) {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  listen() {
    return new Promise((resolve) => {
      this.server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${this.server.address().port}`));
    });
  }

  close() {
    this.reset();
    this.server.closeAllConnections();
    this.server.close();
  }
}

const until = async (what, check) => {
  const end = Date.now() + soon.timeout;
  while (!(await check())) {
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};
const step = (page, name) => page.locator(`[data-step=${name}]`).waitFor(soon);
const reserve = async (page) => {
  await page.getByRole("button", { name: "Reserve" }).click();
  await step(page, "pay");
};
const ending = async (page) => {
  await step(page, "result");
  return [await page.locator("[data-result-title]").innerText(), await page.locator("[data-result-text]").innerText()];
};

export const shop = (browser) => {
  const orders = new Orders();
  const scenario = (name, run) => test(`shop: ${name}`, async () => {
    const base = orders.server.listening ? `http://127.0.0.1:${orders.server.address().port}` : await orders.listen();
    orders.reset();
    const { context, page, faults } = await shopper(browser);
    try {
      await page.goto(`${base}/drops/aurora`);
      await run(page);
      assert.deepEqual(faults, []);
    } finally {
      await context.close();
    }
  });

  scenario("a reservation that runs out says so by itself", async (page) => {
    orders.reservedFor(300);
    await reserve(page);
    await until("stream", () => orders.streams.size === 1);
    orders.become({ state: "released", reason: "expired" });
    assert.deepEqual(await ending(page), ["The pairs were given back", "The time to pay was over. Nothing was charged."]);
  });

  scenario("at 0:00 the server is asked, also where no event comes through", async (page) => {
    await page.route("**/orders/*/events", (route) => route.abort());
    orders.reservedFor(4);
    await reserve(page);
    await page.waitForFunction(() => document.querySelector("[data-countdown]").textContent === "0:00", null, soon);
    orders.become({ state: "released", reason: "expired" });
    await ending(page);
  });

  scenario("paying too late ends the form, not only with a sentence below it", async (page) => {
    orders.reservedFor(300);
    await reserve(page);
    orders.refusals["POST /orders/ID/payment"] = { status: 410, body: { type: "/.doorline/problems/reservation-expired" } };
    await page.getByRole("button", { name: /^Pay/ }).click();
    assert.match((await ending(page))[1], /^The time to pay was over/);
  });

  for (const [reason, words] of [
    ["cancelled_by_shop", "The shop cancelled this order."],
    ["authorisation_lost", "Your bank took its approval back"],
    ["some_word_of_tomorrow", "Nothing was charged."],
  ]) {
    scenario(`${reason} is told in words for people`, async (page) => {
      orders.reservedFor(300);
      await reserve(page);
      await until("stream", () => orders.streams.size === 1);
      orders.become({ state: "released", reason });
      const [, text] = await ending(page);
      assert.ok(text.startsWith(words) && !text.includes(reason), text);
    });
  }

  scenario("the countdown goes by the server's clock", async (page) => {
    orders.ahead = 3_600_000;
    orders.reservedFor(90);
    await reserve(page);
    assert.match(await page.locator("[data-countdown]").textContent(), /^1:[23]\d$/);
  });

  scenario("an outage at a reload does not lose the order", async (page) => {
    orders.reservedFor(300);
    await reserve(page);
    orders.refusals["GET /orders/ID"] = { status: 400 };
    await page.reload();
    await page.getByText("It is kept, and this page goes on asking.").waitFor(soon);
    orders.refusals = {};
    await step(page, "pay");
    await until("stream", () => orders.streams.size === 1);
    assert.equal(await page.locator("[data-alert]").isVisible(), false);
  });

  scenario("an order that is nobody's any more is forgotten", async (page) => {
    orders.reservedFor(300);
    await reserve(page);
    orders.refusals["GET /orders/ID"] = { status: 404 };
    await page.reload();
    await step(page, "choose");
    await until("forgotten", () => page.evaluate(() => sessionStorage.getItem("aurora.order") === null));
  });

  scenario("who has an order already is shown it, in another tab as well", async (page) => {
    orders.become({ state: "paying" });
    const spent = { type: "/.doorline/problems/admission-spent", order: ID };
    orders.refusals["POST /drops/aurora/orders"] = { status: 409, body: spent };
    await page.getByRole("button", { name: "Reserve" }).click();
    await step(page, "wait");
    await page.getByText("The payment is being made.").waitFor(soon);
    orders.become({ state: "paid" });
    assert.equal((await ending(page))[0], "It is yours");
  });

  scenario("an answer that was long on its way does not offer to pay again", async (page) => {
    orders.become({ state: "accepted" });
    const spent = { type: "/.doorline/problems/admission-spent", order: ID };
    orders.refusals["POST /drops/aurora/orders"] = { status: 409, body: spent };
    await page.getByRole("button", { name: "Reserve" }).click();
    await until("stream", () => orders.streams.size === 1);
    await step(page, "wait");
    await page.evaluate(() => {
      const form = document.querySelector("[data-step=pay]");
      new MutationObserver(() => { window.offered ||= !form.hidden; }).observe(form, { attributes: true });
    });
    orders.become({ state: "reserved" });
    orders.become({ state: "paying" });
    await page.getByText("The payment is being made.").waitFor(soon);
    assert.ok(!(await page.evaluate(() => window.offered)), "the payment form came back");
  });

  return () => orders.close();
};
