// Data links as Grafana fills them in, and the way from a row to its conversation.
import { all, address } from './state.js';

const conversationBoard = 'usher-conversation';

// linker makes the function that finds the link of a cell.
export function linker(state, board, boards) {
  return (field, row, fields) => {
    const [link] = field.config.links ?? [];
    if (link?.url) return { href: fill(link.url, field, row, { state, board, fields }), title: link.title };
    return toConversation(field, row, { state, board, boards, fields });
  };
}

function toConversation(field, row, { state, board, boards, fields }) {
  if (!/^conversation(_id)?$/.test(field.name) || !field.values[row]) return undefined;
  if (board.uid === conversationBoard || !boards.some((one) => one.uid === conversationBoard)) {
    return undefined;
  }
  const values = new Map([['conversation', [field.values[row]]]]);
  const tenant = fields.find((one) => one.name === 'tenant')?.values[row];
  if (tenant) values.set('tenant', [tenant]);
  return { title: 'Show this conversation',
    href: address({ uid: conversationBoard, from: state.from, to: state.to, values }) };
}

// fill puts values into a link; it leaves only paths of this page and https addresses.
export function fill(url, field, row, { state, board, fields }) {
  const escape = encodeURIComponent;
  const text = url.replace(/\$\{([^}]+)\}|\$(\w+)/g, (whole, braced, simple) => {
    const name = braced ?? simple;
    const data = /^__data\.fields(?:\.([^:\]]+)|\["?([^"\]]+)"?\])/.exec(name);
    if (data) {
      const other = fields.find((one) => one.name === (data[1] ?? data[2]));
      return escape(other?.values[row] ?? '');
    }
    if (/^__value\.(raw|text|numeric)/.test(name)) return escape(field.values[row] ?? '');
    if (name === '__from') return escape(state.from);
    if (name === '__to') return escape(state.to);
    if (name === '__url_time_range') return `from=${escape(state.from)}&to=${escape(state.to)}`;
    if (name === '__all_variables') return variables(state, board);
    const [variable, format] = name.split(':');
    if (variable === 'datasource') return ''; // this page has one
    const values = state.values.get(variable) ?? [all];
    if (format === 'queryparam') return values.map((one) => `var-${variable}=${escape(one)}`).join('&');
    return board.templating?.list?.some((one) => one.name === variable)
      ? values.map(escape).join(',') : whole;
  });
  return /^(\/(?!\/)|https:\/\/)/.test(text) ? text : `/${text.replace(/^[./]+/, '')}`;
}

const variables = (state, board) => (board.templating?.list ?? [])
  .flatMap(({ name }) => (state.values.get(name) ?? []).map((one) =>
    `var-${name}=${encodeURIComponent(one)}`)).join('&');
