// Pictures of every page, for looking at: node shots.mjs --gallery DIR --out DIR [--assets DIR] [--only NAME,NAME]
import { readdirSync, mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { launch, shopper } from "./browser.mjs";
import { Mock } from "./mock.mjs";

const { values } = parseArgs({
  options: { gallery: { type: "string" }, out: { type: "string" }, assets: { type: "string" }, only: { type: "string" } },
});
const names = readdirSync(values.gallery).filter((n) => n.endsWith(".html")).map((n) => n.slice(0, -5));
const wanted = values.only ? names.filter((n) => values.only.split(",").includes(n)) : names;
const looks = [
  ["light", { colorScheme: "light", viewport: { width: 1280, height: 800 } }],
  ["dark", { colorScheme: "dark", viewport: { width: 1280, height: 800 } }],
  ["phone", { colorScheme: "light", viewport: { width: 375, height: 760 }, deviceScaleFactor: 2 }],
];
mkdirSync(values.out, { recursive: true });
const mock = new Mock(values.gallery, values.assets);
const base = await mock.listen();
const browser = await launch();
for (const [look, options] of looks) {
  for (const name of wanted) {
    const { context, page } = await shopper(browser, { ...options, reducedMotion: "reduce" });
    mock.reset();
    // The API stays silent, so that a page shows what it was rendered with.
    await page.route("**/.doorline/**", () => {});
    await page.goto(`${base}/gallery/${name}`);
    await page.waitForTimeout(350);
    await page.screenshot({ path: `${values.out}/${name}-${look}.png`, fullPage: look === "phone" });
    await context.close();
  }
}
await browser.close();
mock.close();
