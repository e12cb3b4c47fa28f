// Tables: those of the boards, and the other form of each chart.
import { make } from '../dom.js';
import { configure, fields, shown, verdict } from '../frames.js';
import { nothing } from './nothing.js';

const rowsShown = 500;

export function drawTable(panel, body, frames, context) {
  const frame = frames.find((one) => one.rows.length > 0);
  if (!frame) return nothing(panel, body);
  const all = fields(frame).map((field) => configure(field, panel));
  const columns = all.filter((field) => !field.config.custom.hidden);
  const bars = new Map(columns.filter(isBar).map((field) => [field, Math.max(...field.values)]));
  const count = Math.min(frame.rows.length, rowsShown);
  const rows = [];
  for (let row = 0; row < count; row += 1) {
    rows.push(make('tr', {}, ...columns.map((field) => cell(field, row, all, bars, context))));
  }
  body.append(tableOf(panel.title, columns.map((field) => [field.title, field.kind === 'number']), rows));
  if (frame.rows.length > count || frame.truncated) {
    body.append(make('p', { class: 'more' }, `The first ${count} rows.`));
  }
  return undefined;
}

const isBar = (field) => field.kind === 'number'
  && /gauge/.test(field.config.custom.cellOptions?.type ?? '');

function cell(field, row, all, bars, context) {
  const value = field.values[row];
  const { colour } = verdict(value, field.config);
  const text = shown(value, field);
  const target = context.link(field, row, all);
  const content = [target ? make('a', { href: target.href, title: target.title }, text) : text];
  if (bars.has(field) && typeof value === 'number') {
    const bar = make('span', { class: 'cellbar', 'aria-hidden': 'true' });
    bar.style.inlineSize = `${(100 * value) / (bars.get(field) || 1)}%`;
    content.push(bar);
  }
  if (context.explainable(field, value)) {
    content.push(make('button', { type: 'button', class: 'small',
      'aria-label': `Explain decision ${value}`,
      onclick: () => context.explain(value) }, 'Explain'));
  }
  const coloured = /color/.test(field.config.custom.cellOptions?.type ?? '') && colour;
  return make('td', { class: [field.kind === 'number' ? 'number' : '',
    coloured ? `says ${colour}` : ''].join(' ').trim() || undefined }, ...content);
}

// tableOf is a table with a caption for screen readers, which scrolls inside its panel.
export function tableOf(caption, heads, rows) {
  const head = heads.map(([text, right]) =>
    make('th', { scope: 'col', class: right ? 'number' : undefined }, text));
  return make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    make('table', {}, make('caption', { class: 'unseen' }, caption),
      make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...rows)));
}
