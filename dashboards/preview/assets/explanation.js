// Why a decision fell as it did: the n-grams that spoke for its label and against it.
import { explain } from './api.js';
import { make } from './dom.js';
import { tableOf } from './panels/table.js';

const dialog = () => document.getElementById('explanation');

export async function showExplanation(decision) {
  const content = make('div', { 'aria-busy': 'true' }, make('p', {}, 'Reading the message again …'));
  dialog().replaceChildren(
    make('header', {}, make('h2', { id: 'explanation-title' }, 'Why this decision'),
      make('button', { type: 'button', class: 'plain', onclick: () => dialog().close() }, 'Close')),
    make('p', { class: 'id' }, make('code', {}, decision)), content);
  dialog().showModal();
  try {
    content.replaceChildren(...parts(await explain(decision)));
  } catch (error) {
    content.replaceChildren(make('p', { class: 'refused' }, error.message));
  }
  content.setAttribute('aria-busy', 'false');
}

function parts(e) {
  const share = `${(e.score * 100).toFixed(1)} %`;
  return [
    e.note ? make('p', { class: 'refused' }, e.note) : '',
    make('p', {}, make('strong', {}, e.label), ` with ${share}, by model ${e.model}, version ${e.version}.`),
    make('div', { class: 'sides' }, side('Spoke for it', e.for, 'for'),
      side('Spoke against it', e.against, 'against')),
    make('p', { class: 'sum' }, `The rest ${signed(e.rest)}, bias ${signed(e.bias)}: together a logit of `
      + `${e.logit.toFixed(3)}. The model knows ${e.known} of ${e.known + e.unknown} n-grams.`),
  ];
}

const signed = (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`;

function side(title, list, kind) {
  const most = Math.max(...list.map((one) => Math.abs(one.contribution)), 0.001);
  const rows = list.map((one) => {
    const bar = make('span', { class: `cellbar ${kind}`, 'aria-hidden': 'true' });
    bar.style.inlineSize = `${(100 * Math.abs(one.contribution)) / most}%`;
    return make('tr', {}, make('td', {}, make('code', {}, one.ngram)),
      make('td', { class: 'number' }, signed(one.contribution), bar));
  });
  return make('section', {}, make('h3', {}, title),
    list.length ? tableOf(title, [['n-gram', false], ['adds', true]], rows) : make('p', {}, 'nothing'));
}
