// Does what the head of docker-compose.yml says, and has `doorline check` look at what comes of it.
//
// Usage: compose.mjs DOORLINE.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { read } from "./tree.mjs";

const [doorline] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), "doorline-compose-"));
const text = read("docker-compose.yml");
const example = read("config.toml");
const problems = [];

/** The lines of the configuration that the head says to change. */
const steps = [...text.matchAll(/^# +\[(\w+)\] +(\w+) = (.*?)(?: +#.*)?$/gm)].map(([, section, key, value]) => ({
  section,
  key,
  value,
}));

/** The configuration with one such line changed. */
function changed(config, { section, key, value }) {
  const start = config.indexOf(`\n[${section}]\n`);
  const line = new RegExp(`^${key} = .*$`, "m");
  const [before, after] = [config.slice(0, start), config.slice(start)];
  const next = after.indexOf("\n[", 1);
  const own = next < 0 ? after : after.slice(0, next);
  if (start < 0 || !line.test(own)) throw new Error(`config.toml has no line ${key} in [${section}] to change`);
  return before + own.replace(line, `${key} = ${value}`) + after.slice(own.length);
}

function checked(config) {
  const file = join(scratch, "compose.config.toml");
  writeFileSync(file, config);
  const { status, stdout, stderr } = spawnSync(doorline, ["check", "--config", file], { encoding: "utf8" });
  return { status, said: stdout + stderr };
}

try {
  const whole = checked(steps.reduce(changed, example));
  if (whole.status !== 0) problems.push(`the steps lead to:\n${whole.said}`);
  // The steps that Doorline would not start without: a list that lost one of them must not pass.
  const provider = ({ section }) => section === "payment";
  const without = checked(steps.filter((step) => !provider(step)).reduce(changed, example));
  if (without.status !== 2 || !steps.some(provider)) problems.push("no step says who takes the money");
  // Every secret that the configuration looks for in the environment comes through, and is named in the head.
  const passed = parse(text)["x-doorline"].environment;
  const head = text.slice(0, text.indexOf("\nname:"));
  for (const [, name] of example.matchAll(/^#? ?\w+_env = "(\w+)"/gm)) {
    if (!(name in passed)) problems.push(`docker-compose.yml does not pass ${name} on`);
    if (!passed[name]?.includes("@") && !head.includes(`${name}=`)) problems.push(`no step sets ${name}`);
  }
  for (const [, name] of text.matchAll(/\$\{(\w+)/g)) if (!head.includes(`${name}=`)) problems.push(`no step sets ${name}`);
} finally {
  rmSync(scratch, { recursive: true });
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`compose: ${steps.length} lines changed as written, and the configuration is sound`);
