// One panel: its frame, its description, its data, its other form as a table.
import { askPanel } from './api.js';
import { make } from './dom.js';
import { empty } from './frames.js';
import { duration } from './time.js';
import { asks, draw, isChart } from './panels/index.js';
import { paragraphs } from './panels/text.js';
import { seriesTable } from './panels/numbers.js';

export class Panel {
  constructor(model, board) {
    this.model = model;
    this.board = board;
    this.asTable = false;
    this.frames = undefined;
    this.build();
  }

  build() {
    const id = `panel-${this.model.id}`;
    this.body = make('div', { class: 'body' });
    const about = make('div', { class: 'about prose', id: `${id}-about`, hidden: true },
      ...paragraphs(this.model.description));
    const buttons = make('div', { class: 'tools' });
    if (isChart(this.model)) {
      this.toggle = make('button', { type: 'button', class: 'tool', 'aria-pressed': 'false',
        'aria-label': `Table: ${this.model.title}`, onclick: () => this.flip() }, 'Table');
      buttons.append(this.toggle);
    }
    if (this.model.description) {
      buttons.append(make('button', { type: 'button', class: 'tool', 'aria-expanded': 'false',
        'aria-controls': `${id}-about`, 'aria-label': `About: ${this.model.title}`,
        onclick: (event) => disclose(event.currentTarget, about) },
      make('span', { class: 'i', 'aria-hidden': 'true' }, 'i')));
    }
    this.root = make('section', { class: `panel ${this.model.type}`, id,
      'aria-labelledby': `${id}-title`, 'aria-busy': 'true' },
    make('header', {}, make('h2', { id: `${id}-title` }, this.model.title), buttons),
    about, this.body);
    const { x, y, w, h } = this.model.gridPos;
    this.root.style.setProperty('--column', `${x + 1} / span ${w}`);
    this.root.style.setProperty('--row', `${y + 1} / span ${h}`);
    this.root.style.setProperty('--height', h);
    this.body.append(make('div', { class: 'waiting', 'aria-hidden': 'true' }));
  }

  flip() {
    this.asTable = !this.asTable;
    this.toggle.setAttribute('aria-pressed', String(this.asTable));
    this.show();
  }

  // own is the range of a panel that has one of its own, as "the last 90 days" on every board.
  own(context, parameters) {
    const span = duration(this.model.timeFrom);
    if (!span) return context;
    parameters.set('from', context.to - span);
    return { ...context, from: context.to - span };
  }

  // points is how many buckets can be told apart: bars need more room than lines.
  points() {
    const each = this.model.fieldConfig?.defaults?.custom?.drawStyle === 'bars' ? 10 : 4;
    return Math.max(10, Math.min(2000, Math.round((this.body.clientWidth || 600) / each)));
  }

  // load asks for the data and shows it; what was there stays until then.
  async load(parameters, context, signal) {
    this.context = this.own(context, parameters);
    if (!asks(this.model)) {
      this.frames = [];
    } else {
      this.root.setAttribute('aria-busy', 'true');
      parameters.set('points', this.points());
      try {
        const answer = await askPanel(this.board.uid, this.model.id, parameters, signal);
        this.problem = undefined;
        this.frames = answer.frames;
      } catch (error) {
        if (error.name === 'AbortError') return;
        this.problem = error;
      }
    }
    this.root.setAttribute('aria-busy', 'false');
    this.show();
  }

  show() {
    if (!this.context) return;
    this.end?.();
    this.end = undefined;
    this.body.replaceChildren();
    if (this.problem) {
      this.body.append(make('p', { class: 'refused', role: 'alert' }, this.problem.message));
      return;
    }
    if (!this.frames) return;
    try {
      if (this.asTable && !empty(this.frames)) seriesTable(this.model, this.body, this.frames);
      else this.end = draw(this.model, this.body, this.frames, this.context);
    } catch (error) {
      console.error(error);
      this.body.replaceChildren(make('p', { class: 'refused' },
        'This preview cannot draw what the query answered. In Grafana the panel is there.'));
    }
    if (this.frames.some((frame) => frame.truncated)) {
      this.body.append(make('p', { class: 'more' }, 'There was more than this preview shows.'));
    }
  }
}

function disclose(button, about) {
  about.hidden = !about.hidden;
  button.setAttribute('aria-expanded', String(!about.hidden));
  if (about.hidden) return;
  const close = (event) => {
    if (event.type === 'keydown' ? event.key !== 'Escape'
      : about.contains(event.target) || button.contains(event.target)) return;
    about.hidden = true;
    button.setAttribute('aria-expanded', 'false');
    document.removeEventListener('keydown', close);
    document.removeEventListener('pointerdown', close);
  };
  document.addEventListener('keydown', close);
  document.addEventListener('pointerdown', close);
}
