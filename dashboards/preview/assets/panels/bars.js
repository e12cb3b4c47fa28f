// Bars of named values: bar gauges and bar charts.
import { make } from '../dom.js';
import { configure, fields, reduced, shown, verdict } from '../frames.js';
import { nothing } from './nothing.js';

const barsShown = 50;

export function drawBars(panel, body, frames) {
  const list = bars(panel, frames);
  if (list.length === 0) return nothing(panel, body);
  const most = panel.fieldConfig?.defaults?.max
    ?? Math.max(...list.map(({ value }) => value), 0);
  const many = new Set(list.map(({ field }) => field.title)).size > 1;
  const plain = panel.type === 'barchart';
  body.append(make('ul', { class: 'bars' }, ...list.slice(0, barsShown).map((bar, at) => {
    const fill = make('span', { class: `fill ${plain
      ? `series${seriesOf(list, bar) % 8}` : verdict(bar.value, bar.field.config).colour ?? 'neutral'}` });
    fill.style.inlineSize = `${Math.max(0, Math.min(100, (100 * bar.value) / (most || 1)))}%`;
    const name = many && bar.name !== bar.field.title
      ? `${bar.name}, ${bar.field.title}` : bar.name;
    return make('li', { class: 'bar', 'data-at': at },
      make('span', { class: 'name' }, name),
      make('span', { class: 'track', 'aria-hidden': 'true' }, fill),
      make('span', { class: 'value' }, shown(bar.value, bar.field)));
  })));
  return undefined;
}

const seriesOf = (list, bar) => [...new Set(list.map(({ field }) => field.title))]
  .indexOf(bar.field.title);

// bars lists every row's numbers by the row's text, or every field's one value.
function bars(panel, frames) {
  const out = [];
  for (const frame of frames) {
    const all = fields(frame).map((field) => configure(field, panel));
    const numbers = all.filter((field) => field.kind === 'number' && !field.config.custom.hidden);
    const names = all.filter((field) => field.kind === 'string');
    const perRow = names.length > 0 || panel.options?.reduceOptions?.values === true;
    for (let row = 0; perRow && row < frame.rows.length; row += 1) {
      const name = names.map((field) => field.values[row]).join(' ');
      for (const field of numbers) {
        if (field.values[row] === null) continue;
        out.push({ name: name || field.title, value: field.values[row], field });
      }
    }
    for (const field of perRow ? [] : numbers) {
      const value = reduced(field.values, panel.options?.reduceOptions?.calcs?.[0]);
      if (value !== null) out.push({ name: field.title, value, field });
    }
  }
  return out;
}
