const svg = 'http://www.w3.org/2000/svg';

// sparkline draws the course of a number behind it; the number itself says everything.
export function sparkline(body, values) {
  const there = values.filter((value) => typeof value === 'number');
  if (there.length < 2) return;
  const low = Math.min(...there);
  const height = Math.max(...there) - low || 1;
  const points = there.map((value, at) =>
    `${(100 * at) / (there.length - 1)},${28 - (26 * (value - low)) / height}`);
  const root = document.createElementNS(svg, 'svg');
  root.setAttribute('viewBox', '0 0 100 30');
  root.setAttribute('preserveAspectRatio', 'none');
  root.setAttribute('class', 'spark');
  root.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(svg, 'polyline');
  line.setAttribute('points', points.join(' '));
  root.append(line);
  body.append(root);
}
