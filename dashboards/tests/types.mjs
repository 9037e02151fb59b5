// Compiles every dashboard against Grafana's own types, and a few spoilt ones, which must not compile.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;
const boards = join(here, "..", "grafana");
const scratch = mkdtempSync(join(tmpdir(), "doorline-types-"));

/** What the compiler says of these dashboards: nothing, or its complaints. */
function complaints(texts) {
  const files = Object.entries(texts).map(([name, text]) => {
    const file = join(scratch, `${name}.ts`);
    writeFileSync(file, `import type { Board } from "shape";\nexport const board: Board = ${text};\n`);
    return file;
  });
  const modules = join(here, "node_modules");
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: "es2022",
    module: "esnext",
    moduleResolution: "bundler",
    types: [],
    paths: { shape: [join(here, "shape.ts")], "@grafana/schema/*": [join(modules, "@grafana/schema/*")] },
  };
  const config = join(scratch, "tsconfig.json");
  writeFileSync(config, JSON.stringify({ compilerOptions, files }));
  try {
    execFileSync(process.execPath, [join(modules, "typescript/bin/tsc"), "-p", config], { encoding: "utf8" });
    return "";
  } catch (error) {
    return error.stdout || String(error);
  }
}

try {
  const names = readdirSync(boards).filter((name) => name.endsWith(".json"));
  const texts = Object.fromEntries(
    names.map((name) => [name.replace(".json", ""), readFileSync(join(boards, name), "utf8")]),
  );
  const found = complaints(texts);
  if (found) throw new Error(`Grafana would not accept:\n${found}`);

  const sound = texts.drop;
  const spoil = {
    "a key that nobody knows": [/"graphTooltip": 1/, '"graphToolTip": 1'],
    "a kind of panel that is not ours": [/"type": "state-timeline"/, '"type": "state-timelines"'],
    "a legend in a place that does not exist": [/"placement": "bottom"/, '"placement": "botom"'],
    "a number as text": [/"schemaVersion": 40/, '"schemaVersion": "40"'],
    "an option of another panel": [/"mergeValues": true/, '"colorMode": "value"'],
  };
  // Each spoilt dashboard is a file of the same run: a compiler's start costs seconds.
  const spoilt = Object.entries(spoil).map(([what, [from, to]], at) => {
    const text = sound.replace(from, to);
    if (text === sound) throw new Error(`cannot spoil the dashboard with ${what}`);
    return [`spoilt${at}`, text, what];
  });
  const said = complaints(Object.fromEntries(spoilt));
  const missed = spoilt.filter(([name]) => !said.includes(`${name}.ts`));
  if (missed.length > 0) throw new Error(`not noticed: ${missed.map(([, , what]) => what).join("; ")}`);
  console.log(`types: ${names.length} dashboards are sound, ${spoilt.length} spoilt ones are refused`);
} finally {
  rmSync(scratch, { recursive: true });
}
