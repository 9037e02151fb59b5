// Pictures of a sale, drawn from what Prometheus answered to the questions of the dashboards. They are no screenshots.

const WIDTH = 470;
const HEIGHT = 190;
const GAP = 20;
const PLOT = { left: 52, right: 12, top: 34, bottom: 46 };
const COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"];
const SERIES_MAX = COLOURS.length;

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const top = ({ at }) => Math.max(...at.values());

const UNITS = {
  bytes: (value) => `${Math.round(value / 2 ** 20)} MiB`,
  percentunit: (value) => `${Math.round(value * 100)} %`,
  s: (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`),
};

function figure(value, unit) {
  if (UNITS[unit]) return UNITS[unit](value);
  return value >= 1000 ? `${(value / 1000).toFixed(1)}k` : `${Number(value.toFixed(value < 10 ? 1 : 0))}`;
}

/** A line that is broken where nothing was known. */
function path(points, x, y) {
  let before;
  return points
    .map(([when, value]) => {
      const move = before === undefined || when - before > 2 ? "M" : "L";
      before = when;
      return `${move}${x(when).toFixed(1)} ${y(value).toFixed(1)}`;
    })
    .join("");
}

function panel({ title, unit, series }, from, to) {
  // What stays at nothing says nothing; of many, the greatest.
  const known = series.filter((one) => one.at.size > 0 && top(one) > 0).sort((one, other) => top(other) - top(one));
  const drawn = known.slice(0, SERIES_MAX);
  const highest = Math.max(...drawn.map(top), 1e-9);
  const right = WIDTH - PLOT.right;
  const low = HEIGHT - PLOT.bottom;
  const x = (when) => PLOT.left + ((when - from) / (to - from)) * (right - PLOT.left);
  const y = (value) => low - (value / highest) * (low - PLOT.top);
  const seconds = Math.floor((to - from) / 20) * 10;
  const lines = drawn.map(
    ({ at }, n) =>
      `<path d="${path([...at].filter(([when]) => when >= from), x, y)}" fill="none" stroke="${COLOURS[n]}" stroke-width="1.6"/>`,
  );
  let along = PLOT.left;
  const names = drawn.map(({ name }, n) => {
    const word = `<tspan x="${along}" fill="${COLOURS[n]}">${escaped(name || "value")}</tspan>`;
    along += 7 * (name || "value").length + 16;
    return word;
  });
  return [
    `<rect width="${WIDTH}" height="${HEIGHT}" rx="6" fill="#fff" stroke="#d0d7de"/>`,
    `<text x="12" y="21" font-weight="600">${escaped(title)}</text>`,
    `<path d="M${PLOT.left} ${PLOT.top}V${low}H${right}" fill="none" stroke="#d0d7de"/>`,
    `<text x="${PLOT.left - 6}" y="${PLOT.top + 8}" text-anchor="end" class="axis">${figure(highest, unit)}</text>`,
    `<text x="${PLOT.left - 6}" y="${low}" text-anchor="end" class="axis">0</text>`,
    `<text x="${x(from + seconds)}" y="${low + 15}" text-anchor="middle" class="axis">${seconds} s</text>`,
    ...lines,
    `<text y="${HEIGHT - 10}" class="axis">${names.join("")}</text>`,
  ].join("\n");
}

/** The panels two by two as one SVG, under a title and over a note that says what this is. */
export function picture(title, note, panels, from, to) {
  const rows = Math.ceil(panels.length / 2);
  const [wide, high] = [2 * WIDTH + 3 * GAP, rows * (HEIGHT + GAP) + 84];
  const placed = panels.map((one, n) => {
    const [left, top] = [GAP + (n % 2) * (WIDTH + GAP), 46 + Math.floor(n / 2) * (HEIGHT + GAP)];
    return `<g transform="translate(${left} ${top})">\n${panel(one, from, to)}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${wide} ${high}" width="${wide}" height="${high}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">
<title>${escaped(title)}</title>
<style>.axis { font-size: 11px; fill: #57606a }</style>
<rect width="${wide}" height="${high}" fill="#f6f8fa"/>
<text x="${GAP}" y="30" font-size="16" font-weight="600">${escaped(title)}</text>
${placed.join("\n")}
<text x="${GAP}" y="${high - 16}" class="axis">${escaped(note)}</text>
</svg>
`;
}
