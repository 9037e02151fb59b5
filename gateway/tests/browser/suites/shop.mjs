// The demo shop's order page over time, against an orders API whose every answer the test decides: an order is watched
// from its reservation on, is not lost by an outage, and ends in words for people that stay true afterwards.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import test from "node:test";
import { shopper } from "../browser.mjs";

const SHOP = new URL("../../../../sandbox/", import.meta.url);
const API = "/.doorline/v1";
const ID = "0193f2c4-7a10-7c3e-9d55-2f6f0c1b9a77";
const NEXT_ID = "0193f2c4-7a10-7c3e-9d55-2f6f0c1b9a78";
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

const reserved = (id) => ({
  order: id, state: "reserved", items: [{ sku: "AUR-42", quantity: 1 }], total: { amount: 12900, currency: "eur" },
});

// The gateway's orders API, with one order in it, and perhaps an earlier one.
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
    this.order = reserved(ID);
    this.earlier = null;
    this.refusals = {};
    this.log = [];
    for (const stream of this.streams ?? []) stream.destroy();
    this.streams = new Set();
  }

  // Reserved until so many seconds from now, by the server's clock.
  reservedFor(seconds) {
    this.order.reserved_until = new Date(Date.now() + this.ahead + seconds * 1000).toISOString();
  }

  // The next purchase is another order; the one before can still be asked for.
  another() {
    this.earlier = this.order;
    this.order = reserved(NEXT_ID);
  }

  // What the order has become; told by the stream, and to who asks. As in the API, a word that does not hold is left out.
  become(news) {
    this.order = { ...this.order, reason: undefined, ...news };
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
    const asked = `${request.method} ${path.replace(API, "").replace(this.order.order, "ID").replace(ID, "EARLIER")}`;
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
    if (asked === "GET /orders/EARLIER" && this.earlier) return this.json(response, 200, this.earlier);
    if (asked === "DELETE /orders/ID") {
      this.become({ state: "paying", reason: "cancelling" });
      return this.json(response, 200, this.order);
    }
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
// Reserves, and has the page hear of the order by its stream.
const follow = async (page, orders) => {
  orders.reservedFor(300);
  await reserve(page);
  await until("stream", () => orders.streams.size === 1);
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

  for (const [reason, words] of [
    ["payments_paused", "Payments are paused for the moment."],
    ["provider_unavailable", "The payment service cannot be reached at the moment."],
  ]) {
    scenario(`${reason} is told to who waits, for as long as it holds`, async (page) => {
      const told = page.locator("[data-wait-text]");
      await follow(page, orders);
      orders.become({ state: "accepted", reason });
      await page.getByText(words).waitFor(soon);
      for (const part of ["accepted and kept", "Nothing has been charged yet.", "nothing that you need to do"]) {
        assert.ok((await told.innerText()).includes(part), part);
      }
      // The provider may have been asked already: nobody knows yet whether something was charged.
      orders.become({ state: "paying", reason });
      await page.getByText("Its payment has begun").waitFor(soon);
      assert.match(await told.innerText(), /^(?!.*charged).*nothing that you need to do\.$/);
      orders.become({ state: "paying" });
      await page.getByText("The payment is being made.").waitFor(soon);
      assert.equal(await told.innerText(), "The payment is being made.");
    });
  }

  scenario("giving the pairs back is told as done only when it is", async (page) => {
    await follow(page, orders);
    await page.getByRole("button", { name: "Give the pairs back" }).click();
    await page.getByRole("heading", { name: "Your order is being given up" }).waitFor(soon);
    orders.become({ state: "released", reason: "cancelled" });
    assert.deepEqual(await ending(page), ["The pairs were given back", "You gave them back. Nothing was charged."]);
  });

  scenario("a refund that failed is not told as given back, until it is", async (page) => {
    await follow(page, orders);
    orders.become({ state: "refunded", reason: "refund_failed" });
    const [title, text] = await ending(page);
    assert.equal(title, "The refund has not gone through");
    assert.equal(text, "You do not have your money back yet. The staff of the shop look into it.");
    orders.become({ state: "refunded" });
    await page.getByText("The payment was given back in full.").waitFor(soon);
  });

  for (const [state, begins, which] of [
    ["paid", "Paid. We will write", "A second"],
    ["refunded", "The payment was given back in full. A second", "A second"],
    ["declined", "A payment came", "A"],
    ["released", "A payment came", "A"],
  ]) {
    scenario(`a late payment beside an order that is ${state} is told`, async (page) => {
      await follow(page, orders);
      orders.become({ state, late_payment: "being_refunded" });
      const [, text] = await ending(page);
      assert.ok(text.startsWith(begins), text);
      assert.ok(text.endsWith(`${which} payment came through late. The money is being given back.`), text);
    });
  }

  scenario("a payment that comes late replaces the words that nothing was charged", async (page) => {
    await follow(page, orders);
    orders.become({ state: "declined", reason: "card_declined" });
    assert.match((await ending(page))[1], /^Nothing was charged/);
    orders.become({ late_payment: "being_refunded" });
    await page.getByText("The money is being given back.").waitFor(soon);
    assert.equal(await page.getByText("Nothing was charged").count(), 0);
  });

  scenario("an ended order is shown after a reload, and stands in no other's way", async (page) => {
    await follow(page, orders);
    orders.become({ state: "declined", reason: "card_declined" });
    await ending(page);
    await page.reload();
    assert.equal((await ending(page))[0], "The card was declined");
    await page.getByRole("button", { name: "Try another card" }).click();
    await step(page, "choose");
    orders.another();
    await follow(page, orders);
    orders.earlier.late_payment = "being_refunded";
    const notice = page.getByText(`Your earlier order ${ID}: A payment came through late. The money is being given back.`);
    await notice.waitFor(soon);
    assert.ok(await page.locator("[data-step=pay]").isVisible(), "the next purchase was interrupted");
    await page.reload();
    await step(page, "pay");
    await notice.waitFor(soon);
  });

  scenario("an order that ended long ago is not shown again", async (page) => {
    await follow(page, orders);
    orders.become({ state: "paid" });
    await ending(page);
    await page.evaluate((at) => {
      const ended = JSON.parse(sessionStorage.getItem("aurora.ended"));
      sessionStorage.setItem("aurora.ended", JSON.stringify(ended.map((one) => ({ ...one, at }))));
    }, Date.now() - 3_600_000);
    orders.log.length = 0;
    await page.reload({ waitUntil: "networkidle" });
    await step(page, "choose");
    assert.ok(!orders.log.includes("GET /orders/ID"), orders.log.join(", "));
  });

  scenario("an ended order is looked at ever more rarely, and not for ever", async (page) => {
    // Time goes three hundred times as fast, and the long pauses are written down.
    await page.addInitScript(() => {
      const { setTimeout } = window;
      window.pauses = [];
      window.setTimeout = (work, ms) => {
        if (ms > 15000) window.pauses.push(ms);
        return setTimeout(work, ms / 300);
      };
    });
    await page.reload();
    await follow(page, orders);
    orders.become({ state: "declined", reason: "card_declined" });
    await ending(page);
    const asked = (what) => orders.log.filter((line) => line === what).length;
    await page.waitForFunction(() => window.pauses.length === 4, null, soon);
    orders.log.length = 0;
    await until("the last look", () => asked("GET /orders/ID") === 1);
    orders.log.length = 0;
    await until("the page went on", () => asked("GET /drops/aurora") > 2);
    const pauses = await page.evaluate(() => window.pauses);
    assert.equal(pauses.length, 4, pauses.join(", "));
    for (const [at, pause] of pauses.entries()) {
      const longest = 45_000 * 3 ** at;
      assert.ok(pause >= longest / 2 && pause <= longest, `${pause} of ${longest} ms`);
    }
  });

  return () => orders.close();
};
