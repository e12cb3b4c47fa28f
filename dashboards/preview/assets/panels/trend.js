// Time series: lines, bars, stacked and as shares.
import { colour } from '../dom.js';
import { number } from '../format.js';
import { colourName, configure, series, shown } from '../frames.js';
import { chart, dashes, faded, legend, seriesColour, timeAxis, valueAxis } from './chart.js';
import { nothing } from './nothing.js';

const seriesMax = 30;

// aligned puts every series on one list of times; missing points are undefined, which is no gap.
export function aligned(list) {
  const times = [...new Set(list.flatMap((one) => one.times))].sort((a, b) => a - b);
  const place = new Map(times.map((at, i) => [at, i]));
  const columns = list.map((one) => {
    const column = new Array(times.length).fill(undefined);
    one.times.forEach((at, i) => { column[place.get(at)] = one.values[i]; });
    return column;
  });
  return { times, columns };
}

// stack adds the columns up, as shares of their sum when asked for; nothing counts as 0.
export function stack(columns, asShares) {
  const length = columns[0]?.length ?? 0;
  const sums = Array.from({ length }, (_, i) => columns.reduce((a, c) => a + (c[i] ?? 0), 0));
  let below = new Array(length).fill(0);
  return columns.map((column) => {
    below = below.map((value, i) => {
      const own = column[i] ?? 0;
      if (!asShares) return value + own;
      return sums[i] === 0 ? value : value + own / sums[i];
    });
    return below;
  });
}

// readSeries is what a panel's charts and its table share.
export function readSeries(panel, frames) {
  return series(frames).map((one) => configure(one, panel))
    .filter((one) => !one.config.custom.hideFrom?.viz).slice(0, seriesMax);
}

export function drawTrend(panel, body, frames, context) {
  const list = readSeries(panel, frames);
  if (list.length === 0 || list.every((one) => one.values.every((v) => v === null))) {
    return nothing(panel, body);
  }
  const custom = panel.fieldConfig?.defaults?.custom ?? {};
  const stacking = custom.stacking?.mode ?? 'none';
  const { times, columns } = aligned(list);
  const stacked = stacking === 'none' ? columns : stack(columns, stacking === 'percent');
  const paints = list.map((one, at) => paint(one, at));
  const bars = custom.drawStyle === 'bars';
  const end = chart(body, `Chart: ${panel.title}. ${list.map((one) => one.title).join(', ')}.`
    + ' The button “Table” shows the numbers.', context, () => {
    const order = list.map((_, at) => at);
    if (stacking !== 'none') order.reverse(); // what is painted last lies in front: the lowest
    const first = list[0].config;
    const text = (v) => (v === null || v === undefined ? ''
      : stacking === 'percent' ? `${Math.round(v * 100)} %` : number(v, first.unit));
    return {
      data: [times.map((at) => at / 1e3), ...order.map((at) => stacked[at])],
      options: {
        axes: [timeAxis(), valueAxis(text, stacking === 'percent' ? undefined : first.unit)],
        scales: { y: { range: (_, low, high) => limits(low, high, first, stacking) } },
        series: [{}, ...order.map((at) => style(list[at], paints[at], at, { bars, stacking }))],
        hooks: { draw: [(plot) => thresholds(plot, panel)] },
      },
      tip: (plot, idx) => list.map((one, at) => [one, columns[at][idx], paints[at]])
        .filter(([, value]) => value !== null && value !== undefined)
        .sort((a, b) => b[1] - a[1])
        .map(([one, value, paintOf]) => [one.title, shown(value, one), paintOf]),
    };
  });
  if (panel.options?.legend?.showLegend !== false) {
    body.append(legend(list.map((one, at) => [one.title, paints[at],
      bars || stacking !== 'none' ? undefined : dashes[at % dashes.length]])));
  }
  return end;
}

function paint(one, at) {
  const fixed = one.config.color?.mode === 'fixed' && one.config.color.fixedColor;
  return fixed ? colour(`says-${colourName(fixed)}`) : seriesColour(at);
}

function limits(low, high, config, stacking) {
  if (stacking === 'percent') return [0, 1];
  const least = config.min ?? Math.min(low ?? 0, 0);
  const most = config.max ?? (high ?? 0);
  return [least, most > least ? most + (config.max === undefined ? (most - least) * 0.08 : 0) : least + 1];
}

function style(one, stroke, at, { bars, stacking }) {
  const { custom } = one.config;
  const opacity = (custom.fillOpacity ?? 0) / 100;
  const filled = bars || stacking !== 'none' || opacity > 0;
  const alpha = stacking !== 'none' || bars ? 1 : opacity;
  return {
    label: one.title, stroke: bars ? undefined : stroke, width: bars ? 0 : custom.lineWidth ?? 2,
    fill: filled ? faded(stroke, alpha) : undefined,
    dash: bars || stacking !== 'none' ? undefined : dashes[at % dashes.length],
    paths: bars ? window.uPlot.paths.bars({ size: [0.82, 44], align: 1 }) : undefined,
    points: bars ? { show: false } : { size: 6, fill: stroke },
    spanGaps: custom.spanNulls === true,
  };
}

// thresholds draws the lines that colours change at.
function thresholds(plot, panel) {
  const { defaults = {} } = panel.fieldConfig ?? {};
  if (!/line|dashed/.test(defaults.custom?.thresholdsStyle?.mode ?? 'off')) return;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.setLineDash([6, 5]);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const step of defaults.thresholds?.steps ?? []) {
    if (step.value === null || step.value === undefined) continue;
    const y = plot.valToPos(step.value, 'y', true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = colour(`says-${colourName(step.color)}`);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}
