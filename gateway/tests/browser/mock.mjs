// A stand-in for the gateway on loopback: serves pages that the real templates rendered (the
// gallery) under the real policy, and a shopper API whose every answer a test decides.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { join } from "node:path";

const PREFIX = "/.doorline/v1/drops/aurora";

export class Mock {
  constructor(gallery, assets) {
    this.gallery = gallery;
    this.assets = assets;
    this.reset();
    this.server = createServer((request, response) => {
      this.answer(request, response).catch((error) => {
        response.writeHead(500).end(String(error));
      });
    });
  }

  // What the next answers are. Every field may be changed while a page is open.
  reset() {
    this.room = "waiting";
    this.refresh = null;
    this.ticket = { status: 200, body: { state: "waiting", position: 42, number: 1284, poll_after_ms: 1000 } };
    this.publicState = { status: 200, body: { phase: "scheduled" } };
    this.admission = { status: 409, body: { type: "https://doorline.dev/problems/not-called" } };
    this.streaming = true;
    this.log = [];
    for (const stream of this.streams ?? []) stream.destroy();
    this.streams = new Set();
  }

  listen() {
    return new Promise((resolve) => {
      this.server.listen(0, "127.0.0.1", () => {
        this.base = `http://127.0.0.1:${this.server.address().port}`;
        resolve(this.base);
      });
    });
  }

  close() {
    this.reset();
    this.server.closeAllConnections();
    this.server.close();
  }

  // Sends one event to every open page and makes it the answer to polls as well.
  push(body) {
    this.ticket = { status: 200, body: { ...this.ticket.body, ...body } };
    for (const stream of this.streams) stream.write(`data: ${JSON.stringify(this.ticket.body)}\n\n`);
  }

  cutStreams() {
    for (const stream of this.streams) stream.destroy();
    this.streams.clear();
  }

  count(method, path) {
    return this.log.filter((line) => line.method === method && line.path === path).length;
  }

  async answer(request, response) {
    const path = new URL(request.url, "http://mock").pathname;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    this.log.push({ method: request.method, path, body: Buffer.concat(chunks).toString(), at: Date.now() });
    const api = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : null;
    if (path === "/shop") return this.html(response, "<!doctype html><title>Shop</title><h1>The shop</h1>");
    if (path.startsWith("/gallery/")) return this.page(response, path.slice(9));
    if (path === "/drops/aurora") return this.page(response, this.room);
    if (api === "/ticket/events") return this.events(response);
    if (api === "" && request.method === "GET") return this.json(response, this.publicState);
    if (api === "/ticket" && request.method === "DELETE") return response.writeHead(204).end();
    if (api === "/ticket") return this.json(response, this.ticket);
    if (api === "/admission" && this.isForm(request)) {
      return response.writeHead(303, { location: "/shop" }).end();
    }
    if (api === "/admission") return this.json(response, this.admission);
    if (api === "/leave") {
      this.room = "left";
      return response.writeHead(303, { location: "/drops/aurora" }).end();
    }
    response.writeHead(404).end();
  }

  isForm(request) {
    return (request.headers["content-type"] ?? "").includes("form");
  }

  html(response, body) {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" }).end(body);
  }

  json(response, { status, body, headers }) {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body ?? {}));
  }

  events(response) {
    if (!this.streaming) return response.writeHead(503, { "retry-after": "1" }).end();
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`data: ${JSON.stringify(this.ticket.body)}\n\n`);
    this.streams.add(response);
    response.on("close", () => this.streams.delete(response));
  }

  async page(response, name) {
    const nonce = randomBytes(16).toString("base64url");
    const read = (file) => readFile(join(this.gallery, file), "utf8");
    if (name.startsWith("error_")) {
      const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": await read("error_policy.txt") };
      return response.writeHead(200, headers).end(await read(`${name}.html`));
    }
    const [page, policy] = await Promise.all([read(`${name}.html`), read("policy.txt")]);
    const old = /nonce-([^']+)'/.exec(policy)[1];
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "content-security-policy": policy.replaceAll(old, nonce),
      ...(this.refresh ? { refresh: String(this.refresh) } : {}),
    });
    response.end((await this.withAssets(page)).replaceAll(`nonce="${old}"`, `nonce="${nonce}"`));
  }

  // Style and script from the working tree, to look at an edit without a build.
  async withAssets(page) {
    if (!this.assets) return page;
    const read = async (names) => (await Promise.all(names.map((n) => readFile(join(this.assets, n), "utf8")))).join("");
    const style = await read(["base.css", "door.css", "story.css"]);
    const script = await read(["words.js", "digits.js", "paint.js", "link.js"]);
    return page
      .replace(/(<style nonce="[^"]+">)[^]*?(<\/style>)/, (_, open, close) => open + style + close)
      .replace(/(<script nonce="[^"]+">)[^]*?(<\/script>)/, (_, open, close) => `${open}(()=>{"use strict";\n${script}})();${close}`);
  }
}
