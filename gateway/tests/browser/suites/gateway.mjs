// A running gateway, end to end: what a shopper with a browser goes through.
import assert from "node:assert/strict";
import test from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { shopper } from "../browser.mjs";

// Long enough for a demo's queue to be served in full.
const TURN_MS = 120_000;

const inRoom = (page) => page.locator("main[data-api]").count().then((n) => n > 0).catch(() => false);

export const gateway = (browser, base, path) => {
  const url = new URL(path, base).href;

  test("gateway: a shopper with script waits or passes, is let in and sees the shop", async () => {
    const { context, page, faults } = await shopper(browser);
    const answer = await page.goto(url);
    assert.ok(answer.status() < 500);
    if (await inRoom(page)) {
      const headers = answer.headers();
      assert.equal(headers["cache-control"], "no-store");
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.match(headers["content-security-policy"], /default-src 'none'/);
      const { violations } = await new AxeBuilder({ page }).analyze();
      assert.deepEqual(violations.filter((v) => /serious|critical/.test(v.impact)).map((v) => v.id), []);
      // Sold out or ended is an honest end as well; anything else must lead inside.
      await page.waitForFunction(
        () => !document.querySelector("main[data-api]") || /sold_out|ended/.test(document.documentElement.dataset.state),
        null,
        { timeout: TURN_MS },
      );
    }
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("gateway: position never goes backwards", async () => {
    const { context, page } = await shopper(browser);
    await page.goto(url);
    const seen = [];
    for (let look = 0; look < 40 && (await inRoom(page)); look++) {
      const place = await page.evaluate(() => {
        const { state } = document.documentElement.dataset;
        const text = document.querySelector("[data-face=word] .unseen")?.textContent;
        return state === "waiting" && text ? Number(text.replaceAll(",", "")) : null;
      }).catch(() => null);
      if (place !== null) seen.push(place);
      await page.waitForTimeout(250);
    }
    for (let at = 1; at < seen.length; at++) assert.ok(seen[at] <= seen[at - 1], seen.join(" "));
    await context.close();
  });

  test("gateway: a shopper without script gets in by reloads alone", async () => {
    const { context, page } = await shopper(browser, { javaScriptEnabled: false });
    await page.goto(url);
    const end = Date.now() + TURN_MS;
    while ((await inRoom(page)) && Date.now() < end) {
      const state = await page.locator("html").getAttribute("data-state").catch(() => null);
      if (state === "sold_out" || state === "ended") break;
      // The Refresh header does the reloading; this only watches.
      await page.waitForTimeout(500);
    }
    assert.ok(Date.now() < end, "never let in");
    await context.close();
  });
};
