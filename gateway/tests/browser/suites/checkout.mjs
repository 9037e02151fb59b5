// The confirmation page of a running demo: right if the provider's webhook comes first, late, twice or never, whether the
// page hears of it by its stream or by asking.
import assert from "node:assert/strict";
import test from "node:test";
import { shopper } from "../browser.mjs";

const PATIENCE_MS = 150_000;

// Has the demo's provider misbehave.
const weather = async (provider, faults) => {
  const answer = await fetch(`${provider}/sandbox/faults`, {
    method: "POST",
    headers: { authorization: "Bearer sk_test_sandbox", "content-type": "application/json" },
    body: JSON.stringify(faults),
  });
  assert.equal(answer.status, 200, await answer.text());
};

const WEATHERS = [
  ["first", { slow_ms: 3000, rules: [{ operation: "capture_intent", fault: "slow" }] }, "stream"],
  ["twice", { webhooks: { duplicate: 1 } }, "stream"],
  ["late", { webhooks: { reorder: 1 } }, "asking"],
  ["never", { webhooks: { drop: 1 } }, "asking"],
];

export const checkout = (browser, url) => {
  for (const [when, faults, hears] of WEATHERS) {
    test(`checkout: the webhook comes ${when}, the page hears by ${hears}`, async () => {
      const { context, page, faults: wrong } = await shopper(browser);
      if (hears === "asking") await page.route("**/orders/*/events", (route) => route.abort());
      await page.goto(url);
      const product = page.locator("[data-shop-page=product]");
      await product.waitFor({ timeout: PATIENCE_MS });
      const provider = await product.getAttribute("data-provider");
      try {
        await page.locator("form[data-step=choose] button[type=submit]").click();
        await page.locator("form[data-step=pay]").waitFor({ timeout: PATIENCE_MS });
        await page.locator("input[name=card][value=pm_card_threeDSecure2Required]").check({ force: true });
        await page.locator("form[data-step=pay] button[type=submit]").click();
        await page.locator("[data-bank=succeed]").waitFor({ timeout: PATIENCE_MS });
        await weather(provider, faults);
        await page.locator("[data-bank=succeed]").click();
        const title = page.locator("[data-result-title]");
        await title.waitFor({ timeout: PATIENCE_MS });
        assert.equal(await title.textContent(), "It is yours");
        assert.ok(await page.locator("[data-result-order]").isVisible());
        assert.deepEqual(wrong, []);
      } finally {
        await weather(provider, {});
        await context.close();
      }
    });
  }
};
