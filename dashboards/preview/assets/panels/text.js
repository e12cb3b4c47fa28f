import { make } from '../dom.js';

// paragraphs turns the little markdown of descriptions, **bold** and `code`, into elements.
export function paragraphs(text) {
  return String(text ?? '').split(/\n\s*\n/).filter(Boolean).map((paragraph) => {
    const p = make('p');
    for (const part of paragraph.split(/(\*\*[^*]+\*\*|`[^`]+`)/)) {
      if (part.startsWith('**')) p.append(make('strong', {}, part.slice(2, -2)));
      else if (part.startsWith('`')) p.append(make('code', {}, part.slice(1, -1)));
      else p.append(part);
    }
    return p;
  });
}

export function drawText(panel, body) {
  body.append(make('div', { class: 'prose' }, ...paragraphs(panel.options?.content)));
}
