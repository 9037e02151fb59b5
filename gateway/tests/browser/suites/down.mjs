// A gateway whose shop is gone: what people see instead, in every look, and that nothing of it
// runs, moves sideways, or shuts out who reads with ears or keyboard.
import assert from "node:assert/strict";
import test from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { shopper } from "../browser.mjs";

const LOOKS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 320, height: 640 } },
  "without script": { javaScriptEnabled: false },
};

export const down = (browser, base, shots) => {
  for (const [look, options] of Object.entries(LOOKS)) {
    test(`down: a dead shop is a page of the house, ${look}`, async () => {
      const { context, page, faults } = await shopper(browser, { reducedMotion: "reduce", ...options });
      const answer = await page.goto(`${base}/bestsellers?page=2`);
      const headers = answer.headers();
      assert.equal(answer.status(), 502);
      assert.equal(headers["cache-control"], "no-store");
      assert.match(headers["content-security-policy"], /^default-src 'none'; style-src 'sha256-/);
      assert.match(await page.locator("h1").innerText(), /can’t be reached/);
      assert.equal(await page.locator("footer code").innerText(), headers["x-request-id"]);
      assert.match(await page.locator("header").innerText(), /shop\.example/);
      // The policy's hash must be that of the very style that was sent: else the page is bare.
      const button = page.locator("a.button");
      assert.notEqual(await button.evaluate((it) => getComputedStyle(it).backgroundColor), "rgba(0, 0, 0, 0)");
      const { y, height } = await button.boundingBox();
      assert.ok(y + height <= page.viewportSize().height, "what to do is seen without scrolling");
      const [needs, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(needs <= has, `needs ${needs} px of ${has}`);
      if (options.javaScriptEnabled !== false) {
        const { violations } = await new AxeBuilder({ page })
          .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
          .analyze();
        assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`), []);
      }
      if (shots) await page.screenshot({ path: `${shots}/down-${look.replace(" ", "-")}.png` });
      assert.deepEqual(faults, []);
      await context.close();
    });
  }

  test("down: trying again asks for the same page, by keyboard too", async () => {
    const { context, page } = await shopper(browser);
    await page.goto(`${base}/bestsellers?page=2`);
    const button = page.getByRole("link", { name: "Try again" });
    const asked = page.waitForRequest((request) => request.isNavigationRequest());
    await page.keyboard.press("Tab");
    assert.ok(await button.evaluate((it) => it === document.activeElement), "the first stop of the Tab key");
    await page.keyboard.press("Enter");
    assert.equal(new URL((await asked).url()).pathname, "/bestsellers");
    await page.waitForLoadState();
    assert.equal(new URL(page.url()).search, "?page=2");
    await context.close();
  });

  test("down: the queue goes on", async () => {
    const { context, page } = await shopper(browser);
    const answer = await page.goto(`${base}/drops/aurora`);
    assert.equal(answer.status(), 200);
    assert.equal(await page.locator("main[data-api]").count(), 1);
    await context.close();
  });

  test("down: a refused form leads back to the page that it came from, and programs are told why", async () => {
    const { context } = await shopper(browser);
    const api = `${base}/.doorline/v1/drops`;
    const send = async (address, data) => {
      const answer = await context.request.post(`${api}/${address}`, { ...data, maxRedirects: 0 });
      return [answer.status(), answer.headers().location];
    };
    // The cookie that names a visitor; joining this drop is not open.
    await context.request.get(`${base}/drops/borealis`, { headers: { accept: "text/html" } });
    for (const [address, status] of [["borealis/ticket", 409], ["borealis/leave", 404], ["borealis/admission", 404]]) {
      const form = { rejoin: "1", return_to: "/drops/borealis?size=42" };
      assert.deepEqual(await send(address, { form }), [303, "/drops/borealis?size=42"], address);
      if (!address.endsWith("leave")) assert.deepEqual(await send(address, { data: { rejoin: true } }), [status, undefined]);
    }
    await context.close();
  });

  test("down: trying again after a refused form shows the waiting room, not its data", async () => {
    const { context, page } = await shopper(browser, { javaScriptEnabled: false });
    const ticket = `${base}/.doorline/v1/drops/aurora/ticket`;
    await page.goto(ticket);
    assert.equal(new URL(page.url()).pathname, "/drops/aurora");
    assert.equal(await page.locator("main[data-api]").count(), 1);
    const asked = await context.request.get(ticket, { headers: { accept: "application/json" } });
    assert.match(asked.headers()["content-type"], /json/);
    await context.close();
  });
};
