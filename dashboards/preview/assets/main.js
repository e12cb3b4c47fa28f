// The page as a whole: which board, which range, when to ask again.
import { Refused, askOptions, listBoards, readBoard } from './api.js';
import { rangePicker, refreshPicker, textField, variablePicker } from './controls.js';
import { make, say } from './dom.js';
import { showExplanation } from './explanation.js';
import { linker } from './link.js';
import { Panel } from './panel.js';
import { address, parameters, read } from './state.js';
import { instant, rangeText } from './time.js';

const atOnce = 4; // panels that are asked for together
const element = (id) => document.getElementById(id);
const page = { boards: [], explains: false, board: undefined, panels: [], state: undefined,
  refresh: '1m', round: undefined, timer: undefined };

async function start() {
  themeButton();
  window.addEventListener('popstate', () => open());
  document.addEventListener('click', follow);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) load(); });
  try {
    const answer = await listBoards();
    page.boards = answer.boards;
    page.explains = answer.explain;
    await open();
  } catch (error) {
    fatal(error);
  }
}

// open shows what the address says.
async function open() {
  const state = read();
  if (!state.uid) state.uid = page.boards[0]?.uid ?? '';
  if (page.board?.uid !== state.uid) {
    try {
      page.board = await readBoard(state.uid);
    } catch (error) {
      fatal(error);
      return;
    }
    page.refresh = page.board.refresh || '';
    layOut();
  }
  state.from ??= page.board.time?.from ?? 'now-7d';
  state.to ??= page.board.time?.to ?? 'now';
  await chooseFirst(state);
  page.state = state;
  controls();
  navigation();
  await load();
}

// chooseFirst gives a variable without All the first of its values, as Grafana does.
async function chooseFirst(state) {
  for (const variable of page.board.templating?.list ?? []) {
    if (variable.type !== 'query' || variable.includeAll || state.values.has(variable.name)) continue;
    try {
      const { options } = await askOptions(page.board.uid, variable.name,
        parameters(state, page.board, Date.now()));
      if (options.length) state.values.set(variable.name, [options[0].value]);
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // the panels will say it
    }
  }
}

// go shows another state of the page and keeps the one before in the history.
function go(change) {
  history.pushState(null, '', address({ ...page.state, ...change }));
  open();
}

function layOut() {
  const { board } = page;
  const name = board.title.replace(/^usher: /, '');
  document.title = `${name} · usher`;
  element('title').textContent = name.charAt(0).toUpperCase() + name.slice(1);
  element('about').textContent = board.description ?? '';
  for (const panel of page.panels) panel.end?.();
  page.panels = [];
  element('grid').replaceChildren(...board.panels.flatMap((model) => {
    if (model.type === 'row') return [rowHeading(model)];
    const panel = new Panel(model, board);
    page.panels.push(panel);
    return [panel.root];
  }));
}

function rowHeading(model) {
  const heading = make('h2', { class: 'row' }, model.title);
  heading.style.setProperty('--row', `${model.gridPos.y + 1} / span 1`);
  return heading;
}

function controls() {
  const { board, state } = page;
  const change = (name, list) => {
    const values = new Map(state.values);
    if (list.length) values.set(name, list);
    else values.delete(name);
    go({ values });
  };
  const list = (board.templating?.list ?? []).filter((one) => one.hide !== 2
    && one.type !== 'datasource' && one.type !== 'constant');
  element('controls').replaceChildren(rangePicker(state, go),
    ...list.map((one) => (one.type === 'textbox' ? textField(one, state, change)
      : variablePicker(one, state, board, change))),
    refreshPicker(page.refresh, (every) => { page.refresh = every; schedule(); }, () => load(true)));
}

function navigation() {
  element('boards').replaceChildren(...page.boards.map((one) => make('a', {
    href: address({ uid: one.uid, from: page.state.from, to: page.state.to, values: page.state.values }),
    'aria-current': one.uid === page.board.uid ? 'page' : undefined,
  }, one.title.replace(/^usher: /, ''))));
}

// load asks for every panel anew, a few at a time, top first; a newer round ends an older one.
async function load(told) {
  page.round?.abort();
  const round = new AbortController();
  page.round = round;
  clearTimeout(page.timer);
  const { board, state } = page;
  const now = Date.now();
  const context = {
    from: instant(state.from, now), to: instant(state.to, now),
    link: linker(state, board, page.boards), zoom: (from, to) => go({ from: String(from), to: String(to) }),
    explainable: (field, value) => page.explains && /^(decision(_id)?|usher explain)$/.test(field.name)
      && /^[0-9a-f]{32}$/.test(value ?? ''),
    explain: showExplanation,
  };
  const waiting = [...page.panels];
  const lane = async () => {
    for (let panel = waiting.shift(); panel && !round.signal.aborted; panel = waiting.shift()) {
      await panel.load(parameters(state, board, now), context, round.signal);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (round.signal.aborted) return;
  document.body.dataset.loaded = String(now);
  if (told === true) say(`Shown: ${rangeText(state.from, state.to)}.`);
  schedule();
}

const unitsMs = { s: 1e3, m: 6e4, h: 36e5 };

// schedule asks again later, but not for a tab that nobody sees.
function schedule() {
  clearTimeout(page.timer);
  const match = /^(\d+)([smh])$/.exec(page.refresh);
  if (!match || page.state.to !== 'now') return;
  page.timer = setTimeout(() => { if (!document.hidden) load(); }, match[1] * unitsMs[match[2]]);
}

// follow opens links to other boards without leaving the page.
function follow(event) {
  const link = event.target.closest?.('a[href^="/d/"]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey
    || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, '', link.href);
  open().then(() => {
    scrollTo(0, 0);
    element('panels').focus({ preventScroll: true });
    say(`Board ${element('title').textContent}.`);
  });
}

function themeButton() {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const now = () => root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  const name = () => { element('theme').textContent = now() === 'dark' ? 'Light' : 'Dark'; };
  const redraw = () => { name(); for (const panel of page.panels) panel.show(); };
  element('theme').addEventListener('click', () => {
    root.dataset.theme = now() === 'dark' ? 'light' : 'dark';
    localStorage.setItem('usher-theme', root.dataset.theme);
    redraw();
  });
  element('theme').setAttribute('aria-label', 'Switch between light and dark');
  dark.addEventListener('change', redraw);
  name();
}

function fatal(error) {
  if (!(error instanceof Refused)) console.error(error);
  element('grid').replaceChildren(make('p', { class: 'refused', role: 'alert' },
    error instanceof Refused ? error.message : 'This page cannot be shown.'));
}

start();
