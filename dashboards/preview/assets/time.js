// Time ranges as Grafana writes them: now-7d, now, or milliseconds since 1970.

const names = { s: 'seconds', m: 'minutes', h: 'hours', d: 'days', w: 'weeks' };
const units = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

// instant is the time in milliseconds that the text stands for, NaN when it cannot be read.
export function instant(text, now = Date.now()) {
  if (/^\d+$/.test(text)) return Number(text);
  const match = /^now(?:-(\d+)([smhdw]))?(?:\/([hdw]))?$/.exec(text);
  if (!match) return Date.parse(text);
  const at = now - (match[1] ? Number(match[1]) * units[match[2]] : 0);
  return match[3] ? at - (at % units[match[3]]) : at;
}

// duration reads a length such as 90d or now-90d, in milliseconds; 0 when there is none.
export function duration(text) {
  const match = /(\d+)([smhdw])$/.exec(text ?? '');
  return match ? Number(match[1]) * units[match[2]] : 0;
}

export const quickRanges = [
  ['now-15m', 'Last 15 minutes'], ['now-1h', 'Last hour'], ['now-6h', 'Last 6 hours'],
  ['now-24h', 'Last 24 hours'], ['now-2d', 'Last 2 days'], ['now-7d', 'Last 7 days'],
  ['now-14d', 'Last 14 days'], ['now-30d', 'Last 30 days'], ['now-90d', 'Last 90 days'],
];

const short = new Intl.DateTimeFormat(undefined, {
  month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
});
const long = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
  second: '2-digit',
});

export const shortTime = (ms) => short.format(ms);
export const longTime = (ms) => long.format(ms);

// rangeText names a range for people.
export function rangeText(from, to) {
  const quick = quickRanges.find(([value]) => value === from);
  if (quick && to === 'now') return quick[1];
  const last = /^now-(\d+)([smhdw])$/.exec(from);
  if (last && to === 'now') return `Last ${last[1]} ${names[last[2]]}`;
  return `${shortTime(instant(from))} to ${shortTime(instant(to))}`;
}

// localInput is a time as an input of type datetime-local takes it.
export function localInput(ms) {
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * 6e4);
  return at.toISOString().slice(0, 16);
}
