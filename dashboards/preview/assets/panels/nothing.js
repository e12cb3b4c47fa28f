import { make } from '../dom.js';

// nothing says why a panel is empty: what it needs, or that the range holds nothing.
export function nothing(panel, body) {
  const needs = panel.fieldConfig?.defaults?.noValue;
  body.append(make('div', { class: 'nothing' },
    make('p', {}, 'Nothing in this range'),
    needs ? make('p', { class: 'needs' }, needs) : null));
}
