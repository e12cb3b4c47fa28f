// State timelines: one row per series, coloured and labelled from one change to the next.
import { colour } from '../dom.js';
import { configure, fields, shown, verdict } from '../frames.js';
import { chart, seriesColour, timeAxis, valueAxis } from './chart.js';
import { nothing } from './nothing.js';
import { readSeries } from './trend.js';

export function drawTimeline(panel, body, frames, context) {
  const list = states(panel, frames);
  if (list.length === 0) return nothing(panel, body);
  // Numbers hold for their bucket, states until the next one.
  const width = frames.find((one) => one.format === 0 && one.interval_ms)?.interval_ms;
  const words = [...new Set(list.flatMap((one) => one.values.filter((v) => typeof v === 'string')))];
  const rows = list.map((one) => ({ one, spans: spans(one, context.to, width, words) }));
  const times = [...new Set(list.flatMap((one) => one.times))].sort((a, b) => a - b);
  return chart(body, `Timeline: ${panel.title}. ${list.map((one) => one.title).join(', ')}.`
    + ' The button “Table” shows the states.', context, () => ({
    data: [times.map((at) => at / 1e3), times.map(() => null)],
    options: {
      axes: [timeAxis(), { ...valueAxis((v) => list[list.length - 1 - Math.floor(v)]?.title ?? ''),
        grid: { show: false }, splits: () => list.map((_, at) => at + 0.5) }],
      scales: { y: { range: () => [0, list.length] } },
      series: [{}, {}],
      cursor: { points: { show: false } },
      hooks: { draw: [(plot) => paintRows(plot, rows)] },
    },
    tip: (plot) => {
      const row = rows[list.length - 1 - Math.floor(plot.posToVal(plot.cursor.top, 'y'))];
      const time = plot.posToVal(plot.cursor.left, 'x') * 1e3;
      const span = row?.spans.find((s) => s.from <= time && time < s.to);
      if (!span) return [];
      const lines = [[row.one.title, span.text, span.paint]];
      lines.time = span.from;
      return lines;
    },
  }));
}

// states are the series of numbers, or the columns of words beside a time.
function states(panel, frames) {
  const numbers = readSeries(panel, frames);
  if (numbers.length > 0) return numbers;
  const out = [];
  for (const frame of frames) {
    const all = fields(frame);
    const time = all.find((field) => field.kind === 'time');
    for (const field of time ? all.filter((one) => one.kind === 'string') : []) {
      out.push({ ...configure(field, panel), times: time.values });
    }
  }
  return out;
}

// spans joins equal neighbours; a state ends with its bucket when the next one is not there.
function spans(one, end, width, words) {
  const out = [];
  one.times.forEach((at, i) => {
    const value = one.values[i];
    const next = one.times[i + 1] ?? (width ? at + width : end);
    if (value === null) return;
    const to = width ? Math.min(next, at + width) : next;
    const text = shown(value, one);
    const { colour: name } = verdict(value, one.config);
    const paint = name ? colour(`says-${name}`) : seriesColour(Math.max(0, words.indexOf(value)));
    const last = out[out.length - 1];
    if (last && last.to >= at && last.text === text) last.to = to;
    else out.push({ from: at, to, text, paint });
  });
  return out;
}

function paintRows(plot, rows) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `${12 * devicePixelRatio}px system-ui`;
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  const onPaint = colour('panel');
  rows.forEach(({ spans: list }, row) => {
    const top = plot.valToPos(rows.length - row, 'y', true) + 2;
    const height = plot.valToPos(rows.length - row - 1, 'y', true) - top - 2;
    for (const span of list) {
      const left = plot.valToPos(span.from / 1e3, 'x', true);
      const width = Math.max(1, plot.valToPos(span.to / 1e3, 'x', true) - left - 1);
      ctx.fillStyle = span.paint;
      ctx.fillRect(left, top, width, height);
      if (ctx.measureText(span.text).width + 12 > width) continue;
      ctx.fillStyle = onPaint;
      ctx.fillText(span.text, left + 6, top + height / 2);
    }
  });
  ctx.restore();
}
