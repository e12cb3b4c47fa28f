// What the page asks usher. Everything is a GET that names boards, panels and values, never SQL.

export class Refused extends Error {}

async function get(path, parameters, signal) {
  const query = parameters ? `?${parameters}` : '';
  let response;
  try {
    response = await fetch(path + query, { signal, headers: { Accept: 'application/json' } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused('usher does not answer. Is it still running?');
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Refused(`usher answered with status ${response.status}.`);
  }
  if (!response.ok) throw new Refused(body.error ?? `usher answered with status ${response.status}.`);
  return body;
}

const path = (...parts) => `/api/${parts.map(encodeURIComponent).join('/')}`;

export const listBoards = () => get(path('boards'));
export const readBoard = (uid) => get(path('boards', uid));
export const askPanel = (uid, id, parameters, signal) =>
  get(path('boards', uid, 'panels', id), parameters, signal);
export const askOptions = (uid, name, parameters) =>
  get(path('boards', uid, 'variables', name), parameters);
export const askAnnotations = (uid, parameters, signal) =>
  get(path('boards', uid, 'annotations'), parameters, signal);
export const explain = (decision) => get(path('explain', decision));
