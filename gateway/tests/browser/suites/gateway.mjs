// A running gateway, end to end: what a shopper with a browser goes through.
import assert from "node:assert/strict";
import test from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { shopper } from "../browser.mjs";

// Long enough for a demo's queue to be served in full.
const TURN_MS = 120_000;

const inRoom = (page) => page.locator("main[data-api]").count().then((n) => n > 0).catch(() => false);

// Comes to the door. A crowd from the same address may have used up its rate: that refusal says
// when to come again, and only that one is taken for an answer to wait on.
const come = async (page, url) => {
  for (;;) {
    const answer = await page.goto(url);
    if (answer.status() !== 429 || (await inRoom(page))) return answer;
    const wait = Number(answer.headers()["retry-after"]);
    assert.ok(wait > 0 && wait <= 60, "a refusal says when to try again");
    await page.waitForTimeout(wait * 1000);
  }
};

// The shop, or an honest end; a refusal or an error page is neither.
const ends = async (page, url) => {
  if (await inRoom(page)) return /sold_out|ended/.test(await page.locator("html").getAttribute("data-state"));
  return (await page.context().request.get(url, { headers: { accept: "text/html" } })).status() === 200;
};

export const gateway = (browser, base, path) => {
  const url = new URL(path, base).href;

  test("gateway: a shopper with script waits or passes, is let in and sees the shop", async () => {
    // A page that is just fading in has no contrast yet.
    const { context, page, faults } = await shopper(browser, { reducedMotion: "reduce" });
    const answer = await come(page, url);
    if (await inRoom(page)) {
      const headers = answer.headers();
      assert.equal(headers["cache-control"], "no-store");
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.match(headers["content-security-policy"], /default-src 'none'/);
      // Being let in takes the page away from under the analysis: then there is nothing left to
      // analyse, and the gallery has looked at every state of it anyway.
      const { violations } = await new AxeBuilder({ page }).analyze().catch((error) => {
        if (/because of a navigation/.test(error.message)) return { violations: [] };
        throw error;
      });
      assert.deepEqual(violations.filter((v) => /serious|critical/.test(v.impact)).map((v) => v.id), []);
      // Sold out or ended is an honest end as well; anything else must lead inside.
      await page.waitForFunction(
        () => !document.querySelector("main[data-api]") || /sold_out|ended/.test(document.documentElement.dataset.state),
        null,
        { timeout: TURN_MS },
      );
    }
    assert.ok(await ends(page, url), "neither the shop nor an end");
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("gateway: position never goes backwards", async () => {
    const { context, page } = await shopper(browser);
    await come(page, url);
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
    await come(page, url);
    const end = Date.now() + TURN_MS;
    while ((await inRoom(page)) && Date.now() < end) {
      const state = await page.locator("html").getAttribute("data-state").catch(() => null);
      if (state === "sold_out" || state === "ended") break;
      // The Refresh header does the reloading; this only watches.
      await page.waitForTimeout(500);
    }
    assert.ok(Date.now() < end, "never let in");
    assert.ok(await ends(page, url), "neither the shop nor an end");
    await context.close();
  });
};
