// What the page shows lives in its address: /d/BOARD?from=…&to=…&var-NAME=…, as Grafana writes it.
import { instant } from './time.js';

export const all = '$__all';

// read takes the state out of an address.
export function read(address = location) {
  const query = new URLSearchParams(address.search);
  const values = new Map();
  for (const [key, value] of query) {
    if (!key.startsWith('var-')) continue;
    const name = key.slice(4);
    if (name === 'datasource') continue; // this page has one
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return {
    uid: decodeURIComponent(/^\/d\/([^/]+)/.exec(address.pathname)?.[1] ?? ''),
    from: query.get('from'), to: query.get('to'), values,
  };
}

// address writes a state as an address.
export function address({ uid, from, to, values }) {
  const query = new URLSearchParams();
  if (from) query.set('from', from);
  if (to) query.set('to', to);
  for (const [name, list] of values) for (const one of list) query.append(`var-${name}`, one);
  return `/d/${encodeURIComponent(uid)}?${query}`;
}

// parameters are what a query of the board needs.
export function parameters(state, board, now) {
  const query = new URLSearchParams({ from: instant(state.from, now), to: instant(state.to, now) });
  for (const variable of board.templating?.list ?? []) {
    for (const one of state.values.get(variable.name) ?? []) query.append(`var-${variable.name}`, one);
  }
  return query;
}
