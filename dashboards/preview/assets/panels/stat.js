// A number, and beside it smaller ones: the week before, the verdict in words.
import { make } from '../dom.js';
import { configure, fields, reduced, series, shown, verdict } from '../frames.js';
import { nothing } from './nothing.js';
import { sparkline } from './sparkline.js';

export function drawStat(panel, body, frames) {
  const options = panel.options?.reduceOptions ?? {};
  const wanted = pattern(options.fields);
  const list = candidates(frames)
    .filter((field) => (wanted ? wanted(field.name) : field.kind === 'number'))
    .map((field) => ({ field: configure(field, panel),
      value: reduced(field.values, options.calcs?.[0]) }));
  if (list.every(({ value }) => value === null)) return nothing(panel, body);
  const [first, ...others] = list;
  const { colour } = verdict(first.value, first.field.config);
  const note = first.field.title !== first.field.name ? first.field.title : undefined;
  const rest = others.filter(({ value }) => value !== null).map(({ field, value }) => {
    const words = field.kind === 'string';
    return make('li', { class: words ? `says ${colour ?? 'neutral'}` : '' },
      words ? shown(value, field) : `${field.title} ${shown(value, field)}`);
  });
  body.append(make('div', { class: 'stat' },
    make('p', { class: `big ${colour ?? 'neutral'}` },
      first.value === null ? '–' : shown(first.value, first.field)),
    note ? make('p', { class: `note says ${colour ?? 'neutral'}` }, note) : null,
    rest.length ? make('ul', { class: 'beside' }, ...rest) : null));
  if (panel.options?.graphMode === 'area') sparkline(body, first.field.values);
  return undefined;
}

// candidates are the series of a frame with a time, else its columns.
function candidates(frames) {
  return frames.flatMap((frame) => (frame.format === 0 ? series([frame])
    : fields(frame).filter((field) => field.kind !== 'time')));
}

// pattern reads reduceOptions.fields: /regexp/, a name, or nothing for every number.
function pattern(text) {
  if (!text) return undefined;
  const regexp = /^\/(.*)\/$/.exec(text);
  if (!regexp) return (name) => name === text;
  const compiled = new RegExp(regexp[1]);
  return (name) => compiled.test(name);
}
