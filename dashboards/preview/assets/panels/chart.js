// What every chart on a time axis shares: uPlot's set-up, the tooltip, the legend, the zoom.
import { colour, make } from '../dom.js';
import { longTime } from '../time.js';

const uPlot = () => window.uPlot;

// seriesColour is that of a series; the ninth looks like the first, but paler.
export const seriesColour = (at) => {
  const paint = colour(`series${at % 8}`);
  return at < 8 ? paint : faded(paint, 0.5);
};

// faded is a resolved colour with less of it.
export const faded = (paint, alpha) => paint.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

// dashes tell series apart without colour.
export const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4], [1, 2], [6, 2, 2, 2]];

// timeAxis and valueAxis are the axes in the page's type and colours.
export function timeAxis() {
  return { stroke: colour('muted'), grid: { stroke: colour('hairline'), width: 1 },
    ticks: { show: false }, font, space: 84, size: 40, gap: 6,
    values: (_, splits, at, space, step) => splits.map((split, i) => tick(split, splits[i - 1], step)) };
}

function tick(split, before, step) {
  const at = new Date(split * 1000);
  const day = at.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  if (step >= 86400) return day;
  const time = at.toLocaleTimeString(undefined,
    step < 60 ? { timeStyle: 'medium' } : { timeStyle: 'short' });
  const sameDay = before && new Date(before * 1000).getDate() === at.getDate();
  return sameDay ? time : `${time}\n${day}`;
}

const font = '12px system-ui, "DejaVu Sans", sans-serif';
const minutes = [1, 2, 5, 10, 15, 30].map((n) => n * 6e4);
const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, ...minutes,
  36e5, 72e5, 108e5, 216e5, 432e5, ...[1, 2, 4, 7, 14, 28, 56, 112, 224].map((n) => n * 864e5)];

// increments are round steps of an axis of durations; other numbers have uPlot's own.
const increments = { ms: steps, s: steps.map((step) => step / 1e3) };

export function valueAxis(text, unit) {
  return { stroke: colour('muted'), grid: { stroke: colour('hairline'), width: 1 },
    ticks: { show: false }, font, gap: 6, incrs: increments[unit],
    size: (plot, values) => 18 + 6.6 * Math.max(0, ...(values ?? []).map((v) => v.length)),
    values: (_, splits) => splits.map(text) };
}

// chart makes the plot in a frame that follows its size, and returns what ends it.
export function chart(body, describe, context, build) {
  const holder = make('div', { class: 'plot', role: 'img', 'aria-label': describe });
  body.append(holder);
  const { options, data, tip } = build();
  const shared = {
    width: Math.max(holder.clientWidth, 120), height: Math.max(holder.clientHeight, 110),
    legend: { show: false }, padding: [10, 8, 0, 0],
    cursor: { sync: { key: 'usher' }, drag: { x: true, y: false, setScale: false },
      points: { size: 7 }, ...options.cursor },
    scales: { x: { range: () => [context.from / 1e3, context.to / 1e3] }, ...options.scales },
    axes: options.axes, series: options.series,
    hooks: { ...options.hooks, setSelect: [(plot) => zoom(plot, context)] },
    plugins: [tooltip(tip)],
  };
  const plot = new (uPlot())(shared, data, holder);
  const watch = new ResizeObserver(() => plot.setSize({
    width: Math.max(holder.clientWidth, 120), height: Math.max(holder.clientHeight, 110) }));
  watch.observe(holder);
  return () => { watch.disconnect(); plot.destroy(); };
}

function zoom(plot, context) {
  if (plot.select.width < 8) return;
  const from = plot.posToVal(plot.select.left, 'x');
  const to = plot.posToVal(plot.select.left + plot.select.width, 'x');
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  context.zoom(Math.round(from * 1e3), Math.round(to * 1e3));
}

// tooltip shows what lies under the cursor; lines(plot, index) gives [name, value, colour] each.
function tooltip(lines) {
  let box;
  return { hooks: {
    init: (plot) => {
      box = make('div', { class: 'tip', hidden: true, 'aria-hidden': 'true' });
      plot.over.append(box);
      plot.over.addEventListener('mouseleave', () => { box.hidden = true; });
    },
    setCursor: (plot) => {
      const { left, top, idx } = plot.cursor;
      const list = left < 0 || !plot.over.matches(':hover') ? [] : lines(plot, idx);
      box.hidden = list.length === 0;
      if (box.hidden) return;
      const at = list.time ?? plot.data[0][idx] * 1e3;
      box.replaceChildren(make('strong', {}, longTime(at)),
        ...list.map(([name, value, paint]) => {
          const dot = make('i');
          dot.style.background = paint ?? 'transparent';
          return make('span', { class: 'row' }, dot, make('span', {}, name), make('b', {}, value));
        }));
      const right = left > plot.over.clientWidth / 2;
      box.style.left = right ? '' : `${left + 14}px`;
      box.style.right = right ? `${plot.over.clientWidth - left + 14}px` : '';
      box.style.top = `${Math.max(0, Math.min(top - 10, plot.over.clientHeight - box.offsetHeight))}px`;
    },
  } };
}

// legend names the series with a sample of colour and dash.
export function legend(list) {
  return make('ul', { class: 'legend', 'aria-label': 'Legend' }, ...list.map(([name, paint, dash]) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 22 10');
    svg.setAttribute('aria-hidden', 'true');
    const line = document.createElementNS('http://www.w3.org/2000/svg', dash ? 'line' : 'rect');
    if (dash) {
      for (const [k, v] of Object.entries({ x1: 0, x2: 22, y1: 5, y2: 5 })) line.setAttribute(k, v);
      line.style.stroke = paint;
      line.style.strokeWidth = '2.5';
      line.style.strokeDasharray = dash.join(' ');
    } else {
      for (const [k, v] of Object.entries({ x: 4, y: 0, width: 12, height: 10, rx: 2 })) {
        line.setAttribute(k, v);
      }
      line.style.fill = paint;
    }
    svg.append(line);
    return make('li', {}, svg, name);
  }));
}
