// Answers of queries as Grafana sees them: fields with labels, a configuration and overrides.
import { number } from './format.js';
import { longTime } from './time.js';

const bare = (type) => type.replace(/^(Nullable|LowCardinality)\((.*)\)$/, '$2')
  .replace(/^(Nullable|LowCardinality)\((.*)\)$/, '$2');

export function kindOf(type) {
  const name = bare(type);
  if (/^Date/.test(name)) return 'time';
  if (/^(U?Int|Float|Decimal)/.test(name)) return 'number';
  return 'string';
}

// fields turns the columns of a frame into fields with values.
export function fields(frame) {
  return frame.columns.map((column, at) => {
    const kind = kindOf(column.type);
    const values = frame.rows.map((row) => {
      const value = row[at];
      if (value === null) return null;
      if (kind === 'time') return Date.parse(value);
      return kind === 'number' ? Number(value) : value;
    });
    return { name: column.name, kind, values, labels: {}, refId: frame.refId };
  });
}

// series makes one field per value column and combination of labels, all with times of their own.
export function series(frames) {
  const out = [];
  for (const frame of frames) {
    const all = fields(frame);
    const time = all.find((field) => field.kind === 'time');
    if (!time) continue;
    const labels = all.filter((field) => field.kind === 'string');
    for (const value of all.filter((field) => field.kind === 'number')) {
      const groups = new Map();
      time.values.forEach((at, row) => {
        const named = Object.fromEntries(labels.map((l) => [l.name, l.values[row] ?? '']));
        const key = JSON.stringify(named);
        if (!groups.has(key)) {
          groups.set(key, { ...value, labels: named, times: [], values: [], rivals: 0 });
        }
        const group = groups.get(key);
        group.times.push(at);
        group.values.push(value.values[row]);
      });
      out.push(...groups.values());
    }
  }
  return out;
}

function matches(matcher, field) {
  switch (matcher.id) {
    case 'byName': return displayed(field) === matcher.options || field.name === matcher.options;
    case 'byRegexp': {
      const pattern = String(matcher.options).replace(/^\/(.*)\/[a-z]*$/, '$1');
      return new RegExp(pattern).test(displayed(field));
    }
    case 'byType': return field.kind === matcher.options;
    case 'byFrameRefID': return field.refId === matcher.options;
    default: return false;
  }
}

// displayed is a field's name before overrides rename it.
function displayed(field) {
  const labels = Object.values(field.labels).filter((text) => text !== '');
  return labels.length ? labels.join(' ') : field.name;
}

// configure puts the panel's defaults and overrides on a field.
export function configure(field, panel) {
  const defaults = panel.fieldConfig?.defaults ?? {};
  const config = { ...defaults, custom: { ...defaults.custom } };
  for (const override of panel.fieldConfig?.overrides ?? []) {
    if (!matches(override.matcher, field)) continue;
    for (const { id, value } of override.properties) {
      if (id.startsWith('custom.')) config.custom[id.slice(7)] = value;
      else config[id] = value;
    }
  }
  field.config = config;
  field.title = title(field);
  return field;
}

function title(field) {
  const template = field.config.displayName;
  if (!template) return displayed(field);
  const text = template
    .replace(/\$\{__field\.labels\.([\w ]+)\}/g, (_, name) => field.labels[name] ?? '')
    .replace(/\$\{__field\.labels\["?([^"\]]+)"?\]\}/g, (_, name) => field.labels[name] ?? '')
    .replace(/\$\{__(field|series)\.name\}/g, displayed(field));
  return text || displayed(field);
}

// verdict finds what mappings and thresholds say of a value: a text and the name of a colour.
export function verdict(value, config) {
  for (const mapping of config.mappings ?? []) {
    const hit = mapped(value, mapping);
    if (hit) return { text: hit.text, colour: colourName(hit.color) };
  }
  if (typeof value !== 'number') return {};
  let step;
  for (const next of config.thresholds?.steps ?? []) {
    if (next.value === null || next.value === undefined || value >= next.value) step = next;
  }
  return { colour: step ? colourName(step.color) : undefined };
}

function mapped(value, mapping) {
  const { type, options } = mapping;
  if (type === 'value') return options[String(value)];
  if (type === 'special') {
    const match = { null: value === null, 'null+nan': value === null || Number.isNaN(value),
      nan: Number.isNaN(value), true: value === true, false: value === false, empty: value === '' };
    return match[options.match] ? options.result : undefined;
  }
  if (type === 'range' && typeof value === 'number') {
    return value >= (options.from ?? -Infinity) && value <= (options.to ?? Infinity)
      ? options.result : undefined;
  }
  if (type === 'regex' && typeof value === 'string') {
    const pattern = String(options.pattern).replace(/^\/(.*)\/[a-z]*$/, '$1');
    return new RegExp(pattern).test(value) ? options.result : undefined;
  }
  return undefined;
}

const known = ['green', 'orange', 'red', 'blue', 'yellow', 'purple'];

// colourName brings Grafana's shades down to those of the page.
export function colourName(name) {
  return known.find((one) => String(name).includes(one)) ?? 'neutral';
}

// shown is a value as text.
export function shown(value, field) {
  const { text } = verdict(value, field.config);
  if (text) return text;
  if (value === null || value === undefined) return '–';
  if (field.kind === 'time') return longTime(value);
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object') {
    return Object.entries(value).map(([key, one]) => `${key}: ${one}`).join(', ');
  }
  return typeof value === 'number' ? number(value, field.config.unit, field.config.decimals)
    : String(value);
}

// reduced is the one value that stands for a field.
export function reduced(values, calc) {
  const there = values.filter((value) => value !== null && value !== undefined);
  if (there.length === 0) return null;
  const sum = () => there.reduce((a, b) => a + b, 0);
  switch (calc) {
    case 'sum': return sum();
    case 'mean': return sum() / there.length;
    case 'max': return there.reduce((a, b) => (b > a ? b : a));
    case 'min': return there.reduce((a, b) => (b < a ? b : a));
    case 'count': return there.length;
    case 'first': case 'firstNotNull': return there[0];
    default: return there[there.length - 1];
  }
}

export const empty = (frames) => frames.every((frame) => frame.rows.length === 0);
