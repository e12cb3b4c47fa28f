// Heat maps: one row per column of the answer, one cell per bucket of time, darker is more.
import { colour, make } from '../dom.js';
import { number } from '../format.js';
import { configure } from '../frames.js';
import { chart, timeAxis, valueAxis } from './chart.js';
import { nothing } from './nothing.js';
import { aligned, readSeries } from './trend.js';

export function drawHeatmap(panel, body, frames, context) {
  const list = readSeries(panel, frames).map((one) => configure(one, panel));
  const { times, columns } = aligned(list);
  const most = Math.max(0, ...columns.flat().filter((v) => typeof v === 'number'));
  if (most === 0) return nothing(panel, body);
  const width = (frames.find((one) => one.interval_ms)?.interval_ms ?? 6e4) / 1e3;
  const unit = panel.options?.yAxis?.unit;
  const name = (at) => (list[at] && /^[\d.]+$/.test(list[at].name)
    ? `≤ ${number(Number(list[at].name), unit)}` : list[at]?.title ?? '');
  const paint = colour('heat');
  const end = chart(body, `Heat map: ${panel.title}. Rows ${list.map((_, at) => name(at)).join(', ')}.`
    + ' The button “Table” shows the numbers.', context, () => ({
    data: [times.map((at) => at / 1e3), times.map(() => null)],
    options: {
      axes: [timeAxis(), { ...valueAxis((v) => name(Math.floor(v))), grid: { show: false },
        splits: () => list.map((_, at) => at + 0.5) }],
      scales: { y: { range: () => [0, list.length] } },
      series: [{}, {}],
      cursor: { points: { show: false } },
      hooks: { draw: [(plot) => cells(plot, times, columns, { most, width, paint })] },
    },
    tip: (plot, idx) => {
      const at = Math.floor(plot.posToVal(plot.cursor.top, 'y'));
      const time = plot.posToVal(plot.cursor.left, 'x') * 1e3;
      const bucket = times.findLastIndex((one) => one <= time);
      const value = columns[at]?.[bucket];
      if (idx === null || value === undefined || time > times[bucket] + width * 1e3) return [];
      const lines = [[name(at), number(value, 'short'), paint]];
      lines.time = times[bucket];
      return lines;
    },
  }));
  body.append(make('p', { class: 'scale' }, '0', make('span', { 'aria-hidden': 'true' }),
    number(most, 'short')));
  return end;
}

function cells(plot, times, columns, { most, width, paint }) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = paint;
  times.forEach((at, i) => {
    const left = plot.valToPos(at / 1e3, 'x', true);
    const right = plot.valToPos(at / 1e3 + width, 'x', true);
    columns.forEach((column, row) => {
      if (!column[i]) return;
      const bottom = plot.valToPos(row, 'y', true);
      const top = plot.valToPos(row + 1, 'y', true);
      ctx.globalAlpha = 0.15 + 0.85 * Math.sqrt(column[i] / most);
      ctx.fillRect(left + 0.5, top + 0.5, Math.max(1, right - left - 1), bottom - top - 1);
    });
  });
  ctx.restore();
}
