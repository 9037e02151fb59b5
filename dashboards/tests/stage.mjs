// What is put up to be watched: programs of our own, on free ports of loopback, and a Prometheus that scrapes them.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { root } from "./tree.mjs";

const scratch = mkdtempSync(join(tmpdir(), "doorline-live-"));
const children = [];

/** The words after the script's name: each `--name value`. */
export const options = Object.fromEntries(
  process.argv
    .slice(2)
    .map((word, at, all) => [word, all[at + 1]])
    .filter(([word]) => word.startsWith("--")),
);

/** Starts a program that `finish` ends, and keeps what it says. */
export function start(name, program, words) {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (said.text += piece));
  const over = new Promise((done) => child.once("exit", done).once("error", done));
  children.push({ child, over });
  return { name, said, child };
}

/** Ends everything that was started; what does not end by itself in so many seconds is killed. */
export async function finish(seconds = 15) {
  for (const { child } of children) child.kill("SIGTERM");
  const soon = Promise.all(children.map(({ over }) => over));
  await Promise.race([soon, pause(seconds * 1000)]);
  for (const { child } of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
}

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Every running program, its parent and its words. */
function processes() {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const parent = Number(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) \S /s, "").split(" ")[0]);
      return [{ pid: Number(pid), parent, words }];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

/** The processes of a distributed sale: those that `pid` started. */
export function fleet(pid) {
  const ours = processes().filter(({ parent }) => parent === pid);
  const word = (words, key) => words.find((one) => one.startsWith(`${key}=`))?.slice(key.length + 1);
  const serving = ours.flatMap(({ pid, words }) => {
    const admin = word(words, "admin.listen");
    if (!admin || !words.includes("serve")) return [];
    const role = words[words.indexOf("--role") + 1];
    return [{ pid, role, admin, config: words[words.indexOf("--config") + 1] }];
  });
  const redis = ours.find(({ words }) => words[0].includes("redis-server"));
  return { serving, redis };
}

/** Tries until something comes of it. */
export async function until(what, seconds, attempt) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(250)) {
    const found = await attempt().catch(() => undefined);
    if (found) return found;
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

/** A Prometheus with our rules that scrapes `targets` every second; gives its address. */
export async function prometheus(targets) {
  const port = await freePort();
  const config = join(scratch, "prometheus.yml");
  const scrape = { job_name: "doorline", scrape_interval: "1s", static_configs: [{ targets }] };
  writeFileSync(
    config,
    JSON.stringify({
      global: { evaluation_interval: "1s" },
      rule_files: [join(root, "dashboards/rules/*.yml")],
      scrape_configs: [scrape],
    }),
  );
  mkdirSync(join(scratch, "data"));
  const watching = start("prometheus", "prometheus", [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(scratch, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--log.level=warn",
  ]);
  const base = `http://127.0.0.1:${port}`;
  await until("Prometheus", 30, async () => (await fetch(`${base}/-/ready`)).ok).catch((error) => {
    throw new Error(`${error.message}\n${watching.said.text}`);
  });
  return base;
}

/** What Prometheus answers to one question. */
export async function ask(base, path, parameters) {
  const answer = await (await fetch(`${base}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== "success") throw new Error(`${answer.errorType}: ${answer.error}`);
  return answer.data.result;
}
