// The browser tests, by one command:
//   node run.mjs --gallery DIR   pages from the gallery, behaviour against a scripted API
//   node run.mjs --base URL [--path /drops/aurora]   a running gateway or demo, end to end
//   node run.mjs --down URL      a running gateway whose shop is gone; --shots DIR keeps pictures
// All may be given. CHROMIUM names the browser, else /usr/bin/chromium.
import { parseArgs } from "node:util";
import { after } from "node:test";
import { launch } from "./browser.mjs";
import { Mock } from "./mock.mjs";
import { checkout } from "./suites/checkout.mjs";
import { down } from "./suites/down.mjs";
import { gallery } from "./suites/gallery.mjs";
import { gateway } from "./suites/gateway.mjs";
import { live } from "./suites/live.mjs";
import { shop } from "./suites/shop.mjs";

const { values } = parseArgs({
  options: {
    gallery: { type: "string" },
    base: { type: "string" },
    path: { type: "string", default: "/drops/aurora" },
    assets: { type: "string" },
    down: { type: "string" },
    shots: { type: "string" },
  },
});
if (!values.gallery && !values.base && !values.down) {
  process.stderr.write("nothing to test: give --gallery DIR, --base URL, --down URL, or several\n");
  process.exit(2);
}
const browser = await launch();
let mock = null;
let closeShop = null;
if (values.gallery) {
  mock = new Mock(values.gallery, values.assets);
  await mock.listen();
  gallery(browser, mock, values.gallery);
  live(browser, mock);
  closeShop = shop(browser);
}
if (values.down) down(browser, values.down, values.shots);
if (values.base) {
  gateway(browser, values.base, values.path);
  checkout(browser, new URL(values.path, values.base).href);
}
after(async () => {
  mock?.close();
  closeShop?.();
  await browser.close();
});
