// Numbers as people read them, by the names that Grafana gives to units.
import { longTime } from './time.js';

const scaled = (value, steps, decimals) => {
  const size = Math.abs(value);
  let step = steps[0];
  for (const next of steps) if (size >= next[0]) step = next;
  const amount = value / (step[2] ?? step[0] ?? 1);
  return `${rounded(amount, decimals ?? (Math.abs(amount) >= 100 ? 0 : 1))}${step[1]}`;
};

// rounded has so many decimals at most.
export function rounded(value, decimals = 2) {
  return value.toLocaleString('en', { maximumFractionDigits: decimals });
}

const durations = [[0, ' ms', 1], [1e3, ' s', 1e3], [6e4, ' min', 6e4], [36e5, ' h', 36e5],
  [864e5, ' days', 864e5]];
const counts = [[0, '', 1], [1e3, ' K', 1e3], [1e6, ' Mil', 1e6], [1e9, ' Bil', 1e9]];
const sizes = [[0, ' B', 1], [1024, ' KiB', 1024], [1048576, ' MiB', 1048576],
  [1073741824, ' GiB', 1073741824]];

const units = {
  ms: (v, d) => scaled(v, durations, d),
  s: (v, d) => scaled(v * 1e3, durations, d),
  µs: (v, d) => (Math.abs(v) < 1e3 ? `${rounded(v, d ?? 0)} µs` : scaled(v / 1e3, durations, d)),
  percentunit: (v, d) => `${rounded(v * 100, d ?? 1)} %`,
  percent: (v, d) => `${rounded(v, d ?? 1)} %`,
  short: (v, d) => (Math.abs(v) < 1e4 ? rounded(v, d ?? 2) : scaled(v, counts, d)),
  none: (v, d) => rounded(v, d ?? 2),
  locale: (v, d) => rounded(v, d ?? 2),
  string: (v) => String(v),
  bytes: (v, d) => scaled(v, sizes, d),
  decbytes: (v, d) => scaled(v, sizes, d),
  reqps: (v, d) => `${rounded(v, d ?? 1)} /s`,
  cps: (v, d) => `${rounded(v, d ?? 1)} /s`,
  rowsps: (v, d) => `${rounded(v, d ?? 1)} rows/s`,
  dateTimeAsIso: (v) => longTime(v),
  dateTimeAsLocal: (v) => longTime(v),
  dateTimeFromNow: (v) => longTime(v),
};
units.dtdurationms = units.ms;
units.clockms = units.ms;
units.dtdurations = units.s;
units['time:YYYY-MM-DD HH:mm:ss'] = units.dateTimeAsIso;

// number formats a number by its unit; an unknown unit stands behind it.
export function number(value, unit, decimals) {
  if (typeof value !== 'number' || Number.isNaN(value)) return String(value ?? '');
  const known = units[unit || 'none'];
  if (known) return known(value, decimals);
  const currency = /^currency(\w{3})$/.exec(unit);
  const suffix = unit.replace(/^(suffix|prefix|currency):/, '');
  return `${rounded(value, decimals ?? 2)} ${currency ? currency[1] : suffix}`;
}
