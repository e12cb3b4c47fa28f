// The other form of every chart: its numbers, one row per time.
import { make } from '../dom.js';
import { configure, fields, shown } from '../frames.js';
import { longTime } from '../time.js';
import { tableOf } from './table.js';
import { aligned, readSeries } from './trend.js';

const rowsShown = 500;

export function seriesTable(panel, body, frames) {
  const list = readSeries(panel, frames);
  if (list.length === 0) return plainTable(panel, body, frames);
  const { times, columns } = aligned(list);
  const order = times.map((_, at) => at).reverse().slice(0, rowsShown);
  body.append(tableOf(`${panel.title}, as a table`,
    [['time', false], ...list.map((one) => [one.title, true])],
    order.map((at) => make('tr', {}, make('td', {}, longTime(times[at])),
      ...list.map((one, i) => make('td', { class: 'number' }, shown(columns[i][at] ?? null, one)))))));
  if (times.length > rowsShown) {
    body.append(make('p', { class: 'more' }, `The latest ${rowsShown} of ${times.length} times.`));
  }
  return undefined;
}

// plainTable shows what is no series of numbers, states for instance, as it came.
function plainTable(panel, body, frames) {
  for (const frame of frames) {
    const all = fields(frame).map((field) => configure(field, panel));
    body.append(tableOf(`${panel.title}, as a table`,
      all.map((field) => [field.title, field.kind === 'number']),
      frame.rows.slice(0, rowsShown).map((_, row) => make('tr', {},
        ...all.map((field) => make('td', {}, shown(field.values[row], field)))))));
  }
}
