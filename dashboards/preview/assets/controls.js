// The row above the panels: time range, variables, refresh.
import { askOptions } from './api.js';
import { make } from './dom.js';
import { all, parameters } from './state.js';
import { instant, localInput, quickRanges, rangeText } from './time.js';

const refreshes = [['', 'off'], ['10s', '10 s'], ['30s', '30 s'], ['1m', '1 min'], ['5m', '5 min']];

// picker is a disclosure that closes on Escape and on a click elsewhere.
function picker(name, text, ...content) {
  const summary = make('summary', {}, make('span', { class: 'label' }, name),
    make('span', { class: 'chosen' }, text));
  const box = make('details', { class: 'picker', name: 'picker' }, summary,
    make('div', { class: 'drop' }, ...content));
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !box.open) return;
    box.open = false;
    summary.focus();
  });
  return box;
}

document.addEventListener('pointerdown', (event) => {
  for (const box of document.querySelectorAll('details.picker[open]')) {
    if (!box.contains(event.target)) box.open = false;
  }
});

// rangePicker offers ranges up to now and one of one's own.
export function rangePicker(state, change) {
  const from = make('input', { type: 'datetime-local', id: 'own-from', required: true,
    value: localInput(instant(state.from)) });
  const to = make('input', { type: 'datetime-local', id: 'own-to', required: true,
    value: localInput(instant(state.to)) });
  const wrong = make('p', { class: 'wrong', role: 'alert' });
  const own = make('form', { class: 'own', onsubmit: (event) => {
    event.preventDefault();
    const range = [Date.parse(from.value), Date.parse(to.value)];
    wrong.textContent = range[0] < range[1] ? '' : 'The range must end after it begins.';
    if (range[0] < range[1]) change({ from: String(range[0]), to: String(range[1]) });
  } }, make('label', { for: 'own-from' }, 'From', from), make('label', { for: 'own-to' }, 'To', to), wrong,
  make('button', { type: 'submit' }, 'Show this range'));
  const quick = quickRanges.map(([value, text]) => make('li', {}, make('button', { type: 'button',
    class: 'option', 'aria-pressed': String(state.from === value && state.to === 'now'),
    onclick: () => change({ from: value, to: 'now' }) }, text)));
  return picker('Time', rangeText(state.from, state.to), make('ul', { class: 'options' }, ...quick), own);
}

// variablePicker offers a variable's values when it is opened.
export function variablePicker(variable, state, board, change) {
  const chosen = state.values.get(variable.name) ?? [];
  const text = chosen.length === 0 || chosen.includes(all) ? words(variable)
    : chosen.length > 2 ? `${chosen.length} chosen` : chosen.join(', ');
  const list = make('div', { class: 'options' }, make('p', {}, 'Asking …'));
  const box = picker(variable.label || variable.name, text,
    make('fieldset', {}, make('legend', { class: 'unseen' }, variable.label || variable.name), list));
  let asked = false;
  box.addEventListener('toggle', async () => {
    if (!box.open || asked) return;
    asked = true;
    try {
      const options = await optionsOf(variable, state, board);
      list.replaceChildren(...choices(variable, options, chosen, change));
    } catch (error) {
      list.replaceChildren(make('p', { class: 'wrong' }, error.message));
    }
  });
  return box;
}

const words = (variable) => {
  const current = [variable.current?.text ?? (variable.includeAll ? 'All' : '')].flat().join(', ');
  return current || (variable.includeAll ? 'All' : '–');
};

async function optionsOf(variable, state, board) {
  if (variable.type === 'query') {
    const others = { ...state, values: new Map([...state.values].filter(([name]) => name !== variable.name)) };
    const answer = await askOptions(board.uid, variable.name, parameters(others, board, Date.now()));
    return answer.options;
  }
  return (variable.options ?? []).filter((one) => one.value !== all)
    .map((one) => ({ value: String(one.value), text: String(one.text) }));
}

function choices(variable, options, chosen, change) {
  const kind = variable.multi ? 'checkbox' : 'radio';
  const open = chosen.length === 0 || chosen.includes(all);
  const input = (value, text, on) => make('label', { class: 'choice' },
    make('input', { type: kind, name: variable.name, value, checked: on }), text);
  const out = options.map((one) => input(one.value, one.text || '(empty)', chosen.includes(one.value)));
  if (variable.includeAll) out.unshift(input(all, 'All', open));
  if (out.length === 0) return [make('p', {}, 'There are none in this range.')];
  const form = make('form', { onchange: (event) => settle(form, event.target),
    onsubmit: (event) => {
      event.preventDefault();
      const values = [...form.querySelectorAll('input:checked')].map((one) => one.value);
      change(variable.name, values.includes(all) ? [] : values);
    } }, ...out, make('button', { type: 'submit' }, 'Apply'));
  return [form];
}

// settle keeps All and single values apart.
function settle(form, changed) {
  if (changed.type !== 'checkbox' || !changed.checked) return;
  for (const other of form.querySelectorAll('input')) {
    if (other !== changed && (changed.value === all || other.value === all)) other.checked = false;
  }
}

// textField is a variable that is typed.
export function textField(variable, state, change) {
  const id = `var-${variable.name}`;
  const input = make('input', { id, type: 'text', size: 26, maxlength: 256, spellcheck: 'false',
    value: state.values.get(variable.name)?.[0] ?? '' });
  return make('form', { class: 'typed', onsubmit: (event) => {
    event.preventDefault();
    change(variable.name, input.value ? [input.value] : []);
  } }, make('label', { for: id }, variable.label || variable.name), input,
  make('button', { type: 'submit' }, 'Show'));
}

// refreshPicker says how often the page asks again.
export function refreshPicker(every, change, now) {
  const select = make('select', { id: 'refresh', onchange: () => change(select.value) },
    ...refreshes.map(([value, text]) => make('option', { value, selected: value === every }, text)));
  return make('div', { class: 'refresh' }, make('label', { for: 'refresh' }, 'Refresh'), select,
    make('button', { type: 'button', onclick: now }, 'Now'));
}
