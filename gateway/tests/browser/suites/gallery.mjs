// Every page as it is served, in light, dark and on a small phone: readable by everybody
// (axe), no sideways scrolling, no script error, no policy violation, and no foreign script.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import test from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { shopper } from "../browser.mjs";

const looks = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 320, height: 640 } },
};

// Pages whose script would go elsewhere or change state need an API that stays silent.
const open = async (browser, mock, name, options) => {
  const session = await shopper(browser, { reducedMotion: "reduce", ...options });
  await session.page.route("**/.doorline/**", () => {});
  // As if it had gone to the shop just now: the guard against loops then keeps it here.
  await session.page.addInitScript(() => sessionStorage.setItem("doorline:aurora:went", String(Date.now())));
  await session.page.goto(`${mock.base}/gallery/${name}`);
  return session;
};

export const gallery = (browser, mock, folder) => {
  const names = readdirSync(folder).filter((file) => file.endsWith(".html")).map((file) => file.slice(0, -5));
  for (const name of names) {
    test(`${name} is readable by everybody in every look`, async () => {
      for (const [look, options] of Object.entries(looks)) {
        const { context, page, faults } = await open(browser, mock, name, options);
        for (const summary of await page.locator("summary:visible").all()) await summary.click();
        const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
        // The language of the hostile sample is hostile too; configuration takes valid tags only.
        const counted = violations.filter((v) => name !== "hostile" || v.id !== "html-lang-valid");
        assert.deepEqual(counted.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`), [], look);
        const [needs, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(needs <= has, `${look}: needs ${needs} px of ${has}`);
        assert.equal(await page.locator("h1:visible").count(), 1, look);
        assert.deepEqual(faults, [], look);
        await context.close();
      }
    });
  }

  test("hostile text runs no script, with or without ours", async () => {
    for (const javaScriptEnabled of [true, false]) {
      const { context, page, faults } = await open(browser, mock, "hostile", { javaScriptEnabled });
      let requested = 0;
      page.on("request", () => requested++);
      for (const link of await page.locator("a:visible, button:visible").all()) {
        await link.click({ timeout: 500, noWaitAfter: true }).catch(() => {});
      }
      await page.waitForTimeout(200);
      const pwned = javaScriptEnabled ? await page.evaluate(() => window.pwned) : undefined;
      assert.equal(pwned, undefined);
      assert.equal(page.frames().length, 1);
      assert.equal(await page.locator("main img, main iframe, main script").count(), 0);
      if (javaScriptEnabled) assert.deepEqual(faults.filter((fault) => !/form-action|javascript:/.test(fault)), []);
      await context.close();
    }
  });

  test("a foreign script put into the page is stopped by the policy", async () => {
    const { context, page, faults } = await open(browser, mock, "waiting");
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.pwned=1";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.pwned=2"><p style="color:red">x</p>');
    });
    await page.waitForTimeout(200);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.ok(faults.some((fault) => /Content Security Policy/.test(fault)));
    await context.close();
  });

  test("every control is reached by the keyboard and shows that it has the focus", async () => {
    const { context, page } = await open(browser, mock, "called");
    const seen = [];
    for (let step = 0; step < 4; step++) {
      await page.keyboard.press("Tab");
      seen.push(await page.evaluate(() => {
        const it = document.activeElement;
        return [it.tagName, getComputedStyle(it).outlineStyle];
      }));
    }
    assert.deepEqual(seen.slice(0, 3), [["BUTTON", "solid"], ["SUMMARY", "solid"], ["SUMMARY", "solid"]]);
    await context.close();
  });
};
